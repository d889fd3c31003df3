#include "ring/modulus.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/primes.h"
#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

TEST(Primes, TellsPrimesFromComposites) {
  EXPECT_TRUE(is_prime(2));
  EXPECT_TRUE(is_prime(1073479681));
  EXPECT_TRUE(is_prime((uint64_t{1} << 61) - 1));
  for (uint64_t composite : {0ull, 1ull, 4ull, 561ull, 3215031751ull, 3825123056546413051ull})
    EXPECT_FALSE(is_prime(composite)) << composite;
}

TEST(Primes, AgreesWithTrialDivision) {
  for (uint64_t value = 0; value < 5000; ++value) {
    bool prime = value >= 2;
    for (uint64_t divisor = 2; divisor * divisor <= value; ++divisor)
      prime = prime && value % divisor != 0;
    EXPECT_EQ(is_prime(value), prime) << value;
  }
}

TEST(Primes, GalleryModuliServeEveryDegree) {
  for (uint32_t modulus : kGalleryModuli) {
    EXPECT_TRUE(is_prime(modulus)) << modulus;
    EXPECT_EQ(modulus % kModulusStep, 1u) << modulus;
  }
  EXPECT_EQ(primes_below(1u << 30, 1).value()[0], 1073479681u);
}

TEST(Primes, ThereAre395InTheTopBinade) {
  const auto primes = primes_below(1u << 30, 395).value();
  EXPECT_GT(primes.back(), 1u << 29);
  EXPECT_LT(primes_below(1u << 30, 396).value().back(), 1u << 29);
  EXPECT_TRUE(std::is_sorted(primes.rbegin(), primes.rend()));
}

TEST(Primes, NearAreSortedByDistance) {
  const uint32_t target = 1u << 29;
  const auto primes = primes_near(target, 20).value();
  int64_t last = 0;
  for (uint32_t prime : primes) {
    const int64_t distance = std::abs(int64_t{prime} - target);
    EXPECT_GE(distance, last);
    EXPECT_TRUE(is_prime(prime) && prime % kModulusStep == 1);
    last = distance;
  }
}

TEST(Primes, RefusesMoreThanThereAre) {
  EXPECT_FALSE(primes_below(1u << 20, 1000).ok());
  EXPECT_FALSE(primes_below(1, 1).ok());
  EXPECT_FALSE(primes_near(1u << 29, 100000).ok());
}

TEST(Modulus, RefusesWhatIsNoOddPrimeBelow2To30) {
  for (uint64_t value : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{9},
                         uint64_t{1073479681} * 3, uint64_t{1073741827}, uint64_t{1} << 40})
    EXPECT_FALSE(Modulus::create(value).ok()) << value;
}

TEST(Modulus, ArithmeticAgreesWithDivision) {
  std::mt19937_64 random(1);
  for (uint32_t q :
       {3u, 5u, 257u, 65537u, 7340033u, 8257537u, 536903681u, 1071513601u, 1073479681u}) {
    const Modulus modulus = Modulus::create(q).value();
    for (int i = 0; i < 2000; ++i) {
      const auto a = static_cast<uint32_t>(i == 0 ? q - 1 : random() % q);
      const auto b = static_cast<uint32_t>(i < 2 ? q - 1 : random() % q);
      const uint64_t x = i == 0 ? UINT64_MAX : random() >> (random() % 64);
      EXPECT_EQ(modulus.add(a, b), (uint64_t{a} + b) % q);
      EXPECT_EQ(modulus.subtract(a, b), (uint64_t{a} + q - b) % q);
      EXPECT_EQ(modulus.multiply(a, b), uint64_t{a} * b % q);
      EXPECT_EQ(modulus.negate(a), (q - a) % q);
      EXPECT_EQ(modulus.reduce(x), x % q);
      const auto s = static_cast<int64_t>(x);
      EXPECT_EQ(modulus.reduce_signed(s), static_cast<uint32_t>(((s % int64_t{q}) + q) % q));
      if (a != 0) {
        EXPECT_EQ(modulus.multiply(a, modulus.inverse(a)), 1u);
      }
      EXPECT_EQ(modulus.shoup(a).quotient, (uint64_t{a} << 32) / q);
    }
    EXPECT_EQ(modulus.reduce_signed(INT64_MIN),
              (q - static_cast<uint32_t>((uint64_t{1} << 63) % q)) % q);
    EXPECT_EQ(modulus.power(2, 0), 1u);
    EXPECT_EQ(modulus.power(2, q - 1), 1u);
  }
}

}  // namespace
}  // namespace bauta::ring
