#include "ckks/slot_transform.h"

#include <cmath>
#include <numbers>
#include <random>

#include <gtest/gtest.h>

namespace bauta::ckks {
namespace {

std::vector<double> random_coefficients(size_t degree) {
  std::mt19937_64 random(degree);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> coefficients(degree);
  for (double& coefficient : coefficients) coefficient = uniform(random);
  return coefficients;
}

TEST(SlotTransform, SlotsAreValuesAtTheRoots) {
  for (const size_t degree : {4, 8, 16, 128}) {
    const SlotTransform transform(degree);
    const std::vector<double> coefficients = random_coefficients(degree);
    const std::vector<Complex> slots = transform.to_slots(coefficients);
    uint64_t exponent = 1;
    for (size_t j = 0; j < degree / 2; ++j, exponent = exponent * 5 % (2 * degree)) {
      Complex value = 0;
      for (size_t i = 0; i < degree; ++i)
        value +=
            coefficients[i] * std::polar(1.0, std::numbers::pi * static_cast<double>(exponent * i) /
                                                  static_cast<double>(degree));
      EXPECT_NEAR(std::abs(value - slots[j]), 0, 1e-12) << degree << ' ' << j;
    }
  }
}

TEST(SlotTransform, IsInverted) {
  for (size_t degree = 4; degree <= 65536; degree *= 2) {
    const SlotTransform transform(degree);
    const std::vector<double> coefficients = random_coefficients(degree);
    const std::vector<double> again = transform.to_coefficients(transform.to_slots(coefficients));
    double largest = 0;
    for (size_t i = 0; i < degree; ++i)
      largest = std::max(largest, std::abs(again[i] - coefficients[i]));
    EXPECT_LT(largest, 1e-14) << degree;
  }
}

TEST(SlotTransform, OfAConstantIsConstant) {
  const SlotTransform transform(1024);
  const std::vector<double> coefficients =
      transform.to_coefficients(std::vector<Complex>(512, Complex(3, 0)));
  EXPECT_NEAR(coefficients[0], 3, 1e-14);
  for (size_t i = 1; i < 1024; ++i) ASSERT_NEAR(coefficients[i], 0, 1e-14);
  // i is X^(N/2).
  const std::vector<double> imaginary =
      transform.to_coefficients(std::vector<Complex>(512, Complex(0, 1)));
  EXPECT_NEAR(imaginary[512], 1, 1e-14);
}

}  // namespace
}  // namespace bauta::ckks
