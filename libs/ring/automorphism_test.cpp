#include "ring/automorphism.h"

#include <random>

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

TEST(Automorphism, CoefficientFormIsSubstitution) {
  std::mt19937_64 random(1);
  const Basis basis = gallery_basis().prefix(1);
  const auto polynomial = random_polynomial<Form::coefficient>(random, basis);
  for (uint64_t g : {1u, 3u, 5u, 8191u, 4097u, 257u, 8192u + 3u}) {
    const auto image = apply_automorphism(polynomial, g);
    for (size_t i = 0; i < 4096; ++i) {
      const size_t place = g * i % 8192;
      const uint32_t value = polynomial.limb(0)[i];
      ASSERT_EQ(image.limb(0)[place % 4096], place < 4096 ? value : basis.modulus(0).negate(value));
    }
  }
}

TEST(Automorphism, FormsAgreeForEveryDegree) {
  std::mt19937_64 random(2);
  for (size_t log_degree = kMinLogDegree; log_degree <= kMaxLogDegree; ++log_degree) {
    const Basis basis = large_basis(log_degree, 2);
    const auto polynomial = random_polynomial<Form::coefficient>(random, basis);
    const auto values = to_evaluation(polynomial.clone());
    for (int sample = 0; sample < 6; ++sample) {
      const uint64_t g = sample == 0 ? 2 * basis.degree() - 1 : (random() | 1);
      ASSERT_EQ(to_coefficient(apply_automorphism(values, g)), apply_automorphism(polynomial, g))
          << "degree " << basis.degree() << ", g " << g;
    }
  }
}

TEST(Automorphism, ComposesByMultiplication) {
  std::mt19937_64 random(3);
  const auto values = random_polynomial<Form::evaluation>(random, gallery_basis());
  const uint64_t g = 2 * (random() % 4096) + 1;
  const uint64_t h = 2 * (random() % 4096) + 1;
  EXPECT_EQ(apply_automorphism(apply_automorphism(values, g), h),
            apply_automorphism(values, g * h));
  EXPECT_EQ(&Automorphism::get(12, g), &Automorphism::get(12, g + 8192));
}

TEST(AutomorphismDeathTest, RefusesEvenExponents) {
  EXPECT_DEATH(Automorphism::get(12, 2), "g % 2");
}

}  // namespace
}  // namespace bauta::ring
