#include "ring/base_conversion.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

__extension__ using Wide = __int128;

uint32_t residue(Wide value, uint32_t q) {
  const Wide remainder = value % Wide{q};
  return static_cast<uint32_t>(remainder < 0 ? remainder + q : remainder);
}

Wide random_centred(std::mt19937_64& random, Wide modulus) {
  const Wide value =
      ((Wide{static_cast<int64_t>(random() >> 2)} << 62) + (random() >> 2)) % modulus;
  return value > modulus / 2 ? value - modulus : value;
}

Wide product(const Basis& basis) {
  Wide result = 1;
  for (size_t i = 0; i < basis.size(); ++i) result *= basis.modulus(i).value();
  return result;
}

CoefficientPolynomial polynomial_of(const std::vector<Wide>& values, const Basis& basis) {
  auto polynomial = CoefficientPolynomial::uninitialised(basis);
  for (size_t limb = 0; limb < basis.size(); ++limb)
    for (size_t i = 0; i < values.size(); ++i)
      polynomial.limb(limb)[i] = residue(values[i], basis.modulus(limb).value());
  return polynomial;
}

std::vector<Wide> random_values(std::mt19937_64& random, const Basis& basis) {
  std::vector<Wide> values(basis.degree());
  for (Wide& value : values) value = random_centred(random, product(basis));
  values[0] = 0;
  values[1] = 1;
  values[2] = -1;
  return values;
}

TEST(BaseConverter, OneModulusIsExactUpToTheEnds) {
  std::mt19937_64 random(1);
  for (uint32_t p : kGalleryModuli) {
    const Basis from = Basis::create(12, std::vector<uint32_t>{p}).value();
    std::vector<uint32_t> others;
    for (uint32_t q : kGalleryModuli)
      if (q != p) others.push_back(q);
    const Basis to = Basis::create(12, others).value();
    auto values = random_values(random, from);
    values[3] = p / 2;
    values[4] = -Wide{p / 2};
    EXPECT_EQ(BaseConverter(from, to).convert(polynomial_of(values, from)),
              polynomial_of(values, to));
  }
}

TEST(BaseConverter, SeveralModuliGiveTheCentredRepresentative) {
  std::mt19937_64 random(2);
  const Basis all = large_basis(11, 6);
  for (size_t count : {2u, 3u, 4u}) {
    const Basis from = all.prefix(count);
    const Basis to = all.slice(count, 6 - count);
    auto values = random_values(random, from);
    // Close to the ends, but further than the documented k * 2^-30.
    values[3] = product(from) / 2 - (product(from) >> 26);
    values[4] = -values[3];
    ThreadPool pool(2);
    EXPECT_EQ(BaseConverter(from, to).convert(polynomial_of(values, from), &pool),
              polynomial_of(values, to));
  }
}

TEST(BaseConverter, AtTheEndsItTakesOneOfTheTwoRepresentatives) {
  const Basis all = large_basis(11, 4);
  const Basis from = all.prefix(3);
  const Basis to = all.slice(3, 1);
  const Wide modulus = product(from);
  std::vector<Wide> values(from.degree());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = modulus / 2 - static_cast<int>(i) / 2 * (i % 2 == 0 ? 1 : -1);
  const auto converted = BaseConverter(from, to).convert(polynomial_of(values, from));
  const uint32_t q = to.modulus(0).value();
  for (size_t i = 0; i < values.size(); ++i) {
    const uint32_t got = converted.limb(0)[i];
    EXPECT_TRUE(got == residue(values[i], q) || got == residue(values[i] - modulus, q));
  }
}

TEST(RoundedDivision, RoundsTheCentredValue) {
  std::mt19937_64 random(3);
  for (size_t dropped_count : {1u, 2u, 3u}) {
    const Basis basis = gallery_basis();
    const size_t kept_count = 4 - dropped_count;
    const Basis kept = basis.prefix(kept_count);
    const Basis dropped = basis.slice(kept_count, dropped_count);
    const Wide divisor = product(dropped);
    const auto values = random_values(random, basis);
    std::vector<Wide> quotients;
    for (Wide value : values)
      quotients.push_back((value + (value < 0 ? -(divisor / 2) : divisor / 2)) / divisor);
    const auto expected = polynomial_of(quotients, kept);
    const RoundedDivision division(kept, dropped);
    EXPECT_EQ(division.apply(polynomial_of(values, basis)), expected) << dropped_count;
    ThreadPool pool(2);
    EXPECT_EQ(to_coefficient(division.apply(to_evaluation(polynomial_of(values, basis)), &pool)),
              expected);
  }
}

TEST(RoundedDivisionDeathTest, RefusesAnotherBasis) {
  const Basis basis = gallery_basis();
  const RoundedDivision division(basis.prefix(2), basis.slice(2, 2));
  EXPECT_DEATH(division.apply(CoefficientPolynomial::zero(basis.prefix(3))), "basis");
}

}  // namespace
}  // namespace bauta::ring
