#include "ckks/noise.h"

#include <algorithm>
#include <cmath>

#include "ring/sampler.h"

namespace bauta::ckks {
namespace {

constexpr double kErrorVariance = ring::kErrorDeviation * ring::kErrorDeviation;
constexpr double kSecretVariance = 2.0 / 3;
constexpr double kRoundingVariance = 1.0 / 12;

}  // namespace

double NoiseModel::fresh_secret() const {
  return kErrorVariance;
}

// (v*e + e0 + e1*s) / P, and the rounding.
double NoiseModel::fresh_public() const {
  const auto degree = static_cast<double>(parameters_.degree());
  const double before = kErrorVariance * (1 + 2 * degree * kSecretVariance);
  return before * std::exp2(-2 * parameters_.special_moduli().log2_modulus()) + division();
}

// Every digit is uniform below its modulus in absolute value halved, and multiplies an error of the
// key.
double NoiseModel::key_switch(const KeySwitchShape& shape) const {
  const auto degree = static_cast<double>(parameters_.degree());
  const ring::Basis& all = parameters_.all_moduli();
  const double log2_special = all.slice(shape.special_begin, shape.special_count).log2_modulus();
  double variance = 0;
  for (size_t begin = 0; begin < shape.limbs; begin += shape.digit_limbs) {
    const size_t count = std::min(shape.digit_limbs, shape.limbs - begin);
    const double log2_digit = all.slice(begin, count).log2_modulus();
    variance +=
        degree * kErrorVariance * std::exp2(2 * (log2_digit - log2_special)) * kRoundingVariance;
  }
  return variance;
}

double NoiseModel::division() const {
  return kRoundingVariance * (1 + static_cast<double>(parameters_.degree()) * kSecretVariance);
}

double NoiseModel::slot_deviation(double variance, double scale) const {
  return std::sqrt(variance * static_cast<double>(parameters_.degree())) / scale;
}

}  // namespace bauta::ckks
