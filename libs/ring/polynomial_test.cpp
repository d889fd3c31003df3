#include "ring/polynomial.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

// Product modulo X^N + 1 of polynomials with few terms, by the definition.
CoefficientPolynomial schoolbook(const CoefficientPolynomial& a, const CoefficientPolynomial& b) {
  auto product = CoefficientPolynomial::zero(a.basis());
  const size_t degree = a.degree();
  for (size_t limb = 0; limb < a.limb_count(); ++limb) {
    const Modulus& modulus = a.basis().modulus(limb);
    for (size_t i = 0; i < degree; ++i) {
      if (a.limb(limb)[i] == 0) continue;
      for (size_t j = 0; j < degree; ++j) {
        const uint32_t term = modulus.multiply(a.limb(limb)[i], b.limb(limb)[j]);
        uint32_t& out = product.limb(limb)[(i + j) % degree];
        out = i + j < degree ? modulus.add(out, term) : modulus.subtract(out, term);
      }
    }
  }
  return product;
}

CoefficientPolynomial sparse_polynomial(std::mt19937_64& random, const Basis& basis) {
  auto polynomial = CoefficientPolynomial::zero(basis);
  for (size_t limb = 0; limb < basis.size(); ++limb)
    for (int term = 0; term < 20; ++term)
      polynomial.limb(limb)[random() % basis.degree()] =
          static_cast<uint32_t>(random() % basis.modulus(limb).value());
  return polynomial;
}

CoefficientPolynomial round_trip(const CoefficientPolynomial& polynomial, ThreadPool* pool) {
  return to_coefficient(to_evaluation(polynomial.clone(), pool), pool);
}

TEST(RnsPolynomial, PointwiseProductIsTheRingProduct) {
  std::mt19937_64 random(1);
  const auto a = sparse_polynomial(random, gallery_basis());
  const auto b = random_polynomial<Form::coefficient>(random, gallery_basis());
  auto product = to_evaluation(a.clone());
  multiply_in_place(product, to_evaluation(b.clone()));
  EXPECT_EQ(to_coefficient(std::move(product)), schoolbook(a, b));
}

TEST(RnsPolynomial, TransformsAreInverseOnAnyNumberOfThreads) {
  std::mt19937_64 random(2);
  const auto polynomial = random_polynomial<Form::coefficient>(random, large_basis(13, 5));
  ThreadPool pool(3);
  EXPECT_EQ(round_trip(polynomial, nullptr), polynomial);
  EXPECT_EQ(round_trip(polynomial, &pool), polynomial);
}

TEST(RnsPolynomial, ArithmeticIsThatOfTheResidues) {
  std::mt19937_64 random(3);
  const Basis basis = gallery_basis();
  const auto a = random_polynomial<Form::evaluation>(random, basis);
  const auto b = random_polynomial<Form::evaluation>(random, basis);
  const std::vector<uint32_t> factors{5, 1071513600, 0, 7340032};
  auto sum = a.clone(), difference = a.clone(), negative = a.clone(), scaled = a.clone(),
       fused = a.clone();
  add_in_place(sum, b);
  subtract_in_place(difference, b);
  negate_in_place(negative);
  multiply_constant_in_place(scaled, factors);
  multiply_add(fused, a, b);
  for (size_t limb = 0; limb < basis.size(); ++limb) {
    const Modulus& modulus = basis.modulus(limb);
    for (size_t i = 0; i < basis.degree(); ++i) {
      const uint32_t x = a.limb(limb)[i], y = b.limb(limb)[i];
      ASSERT_EQ(sum.limb(limb)[i], modulus.add(x, y));
      ASSERT_EQ(difference.limb(limb)[i], modulus.subtract(x, y));
      ASSERT_EQ(negative.limb(limb)[i], modulus.negate(x));
      ASSERT_EQ(scaled.limb(limb)[i], modulus.multiply(x, factors[limb]));
      ASSERT_EQ(fused.limb(limb)[i], modulus.add(x, modulus.multiply(x, y)));
    }
  }
}

TEST(RnsPolynomial, OperandsMayHaveMoreLimbs) {
  std::mt19937_64 random(4);
  const auto a = random_polynomial<Form::coefficient>(random, gallery_basis());
  auto dropped = a.clone();
  dropped.keep_limbs(2);
  EXPECT_EQ(dropped.basis(), gallery_basis().prefix(2));
  auto sum = dropped.clone();
  add_in_place(sum, a);
  auto twice = dropped.clone();
  add_in_place(twice, dropped);
  EXPECT_EQ(sum, twice);
}

TEST(RnsPolynomialDeathTest, RefusesOperandsOfAnotherBasis) {
  auto a = CoefficientPolynomial::zero(gallery_basis().prefix(2));
  const auto b = CoefficientPolynomial::zero(gallery_basis().slice(1, 2));
  EXPECT_DEATH(add_in_place(a, b), "starts_with");
  EXPECT_DEATH(a.limb(2), "limb_count");
}

TEST(RnsPolynomial, MovesLeaveAnEmptyPolynomial) {
  auto a = CoefficientPolynomial::zero(gallery_basis());
  const auto b = to_evaluation(std::move(a));
  EXPECT_EQ(b.limb_count(), 4u);
  EXPECT_EQ(a.limb_count(), 0u);  // NOLINT(bugprone-use-after-move)
  EXPECT_TRUE(a.words().empty());
}

TEST(RnsPolynomial, SignedValuesBecomeResidues) {
  std::vector<int64_t> values(4096);
  values[0] = -1;
  values[1] = INT64_MIN;
  values[2] = INT64_MAX;
  const auto polynomial = from_signed(values, gallery_basis());
  for (size_t limb = 0; limb < 4; ++limb) {
    const Modulus& modulus = gallery_basis().modulus(limb);
    for (size_t i = 0; i < 4; ++i)
      EXPECT_EQ(polynomial.limb(limb)[i], modulus.reduce_signed(values[i]));
  }
  std::mt19937_64 random(7);
  const auto start = random_polynomial<Form::coefficient>(random, gallery_basis());
  auto sum = start.clone(), expected = start.clone();
  add_signed(sum, values);
  add_in_place(expected, polynomial);
  EXPECT_EQ(sum, expected);
}

TEST(RnsPolynomial, MonomialsShiftWithSigns) {
  std::mt19937_64 random(5);
  const Basis basis = gallery_basis();
  const auto polynomial = random_polynomial<Form::coefficient>(random, basis);
  for (size_t exponent : {0u, 1u, 15u, 16u, 100u, 4095u, 4096u, 4097u, 8191u, 8192u + 17u}) {
    auto monomial = CoefficientPolynomial::zero(basis);
    for (size_t limb = 0; limb < basis.size(); ++limb)
      monomial.limb(limb)[exponent % 4096] =
          exponent / 4096 % 2 == 0 ? 1 : basis.modulus(limb).value() - 1;
    EXPECT_EQ(multiply_monomial(polynomial, exponent), schoolbook(monomial, polynomial))
        << exponent;
  }
}

TEST(RnsPolynomial, AddedMonomialMultiplesCanBeTakenAway) {
  std::mt19937_64 random(6);
  const auto start = random_polynomial<Form::coefficient>(random, gallery_basis());
  const auto polynomial = random_polynomial<Form::coefficient>(random, gallery_basis());
  auto sum = start.clone();
  multiply_monomial_add(sum, polynomial, 1234);
  multiply_monomial_add(sum, polynomial, 1234 + 4096);
  EXPECT_EQ(sum, start);
}

}  // namespace
}  // namespace bauta::ring
