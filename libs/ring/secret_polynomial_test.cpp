#include "ring/secret_polynomial.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/automorphism.h"
#include "ring/sampler.h"
#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

static_assert(!std::is_copy_constructible_v<SecretValues>);

SmallSecret small_secret(uint64_t number) {
  const SecretSeed seed = SecretSeed::insecure_fixed(number).value();
  return sample_error(seed, "test", 0, 4096).value();
}

CoefficientPolynomial as_polynomial(const SmallSecret& secret, const Basis& basis) {
  const std::vector<int64_t> values(secret.span().begin(), secret.span().end());
  return from_signed(values, basis);
}

TEST(SecretPolynomial, EvaluationIsThatOfThePublicPolynomial) {
  const Basis basis = gallery_basis();
  const SmallSecret secret = small_secret(1);
  const SecretValues values = evaluate(secret, basis).value();
  const auto expected = to_evaluation(as_polynomial(secret, basis));
  for (size_t i = 0; i < basis.size(); ++i)
    EXPECT_TRUE(std::equal(values.limb(i).begin(), values.limb(i).end(), expected.limb(i).begin()));
}

TEST(SecretPolynomial, TransformsAreInverse) {
  const Basis basis = gallery_basis();
  const SmallSecret secret = small_secret(2);
  const SecretCoefficients coefficients = to_coefficient(evaluate(secret, basis).value());
  const auto expected = as_polynomial(secret, basis);
  for (size_t i = 0; i < basis.size(); ++i)
    EXPECT_TRUE(std::equal(coefficients.limb(i).begin(), coefficients.limb(i).end(),
                           expected.limb(i).begin()));
}

TEST(SecretPolynomial, SumsAndProductsAgreeWithPublicOnes) {
  std::mt19937_64 random(3);
  const Basis basis = gallery_basis();
  const SmallSecret secret = small_secret(3);
  const SecretValues evaluated = evaluate(secret, basis).value();
  const auto open = to_evaluation(as_polynomial(secret, basis));
  const auto start = random_polynomial<Form::evaluation>(random, basis.prefix(2));
  const auto a = random_polynomial<Form::evaluation>(random, basis);

  auto expected = start.clone(), by_coefficients = start.clone(), by_values = start.clone();
  add_in_place(expected, open);
  ASSERT_TRUE(add_in_place(by_coefficients, secret).ok());
  add_in_place(by_values, evaluated);
  EXPECT_EQ(by_coefficients, expected);
  EXPECT_EQ(by_values, expected);

  multiply_add(expected, a, open);
  ASSERT_TRUE(multiply_add(by_coefficients, a, secret).ok());
  multiply_add(by_values, a, evaluated);
  EXPECT_EQ(by_coefficients, expected);
  EXPECT_EQ(by_values, expected);

  auto coefficients = to_coefficient(start.clone());
  ASSERT_TRUE(add_in_place(coefficients, secret).ok());
  auto sum = start.clone();
  add_in_place(sum, open);
  EXPECT_EQ(to_evaluation(std::move(coefficients)), sum);

  SecretValues square = evaluate(secret, basis).value();
  multiply_in_place(square, evaluated);
  auto open_square = open.clone();
  multiply_in_place(open_square, open);
  EXPECT_TRUE(
      std::equal(square.limb(3).begin(), square.limb(3).end(), open_square.limb(3).begin()));
}

TEST(SecretPolynomial, AutomorphismAgreesWithThePublicOne) {
  const Basis basis = gallery_basis().prefix(1);
  const SmallSecret secret = small_secret(4);
  for (uint64_t g : {3u, 8191u, 77u})
    EXPECT_EQ(as_polynomial(apply_automorphism(secret, g).value(), basis),
              apply_automorphism(as_polynomial(secret, basis), g));
}

TEST(SecretPolynomial, LiftsToSmallModuli) {
  const SmallSecret secret = small_secret(5);
  for (uint32_t q : {3u, 17u, 127u, 131u, 1073479681u}) {
    const Modulus modulus = Modulus::create(q).value();
    std::vector<uint32_t> out(secret.size());
    lift(secret, modulus, out);
    for (size_t i = 0; i < out.size(); ++i)
      ASSERT_EQ(out[i], modulus.reduce_signed(secret.data()[i]));
  }
}

}  // namespace
}  // namespace bauta::ring
