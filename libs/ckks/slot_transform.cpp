#include "ckks/slot_transform.h"

#include <bit>
#include <cmath>
#include <numbers>

#include "base/result.h"

namespace bauta::ckks {

// Write p = u + i*v with u, v the lower and upper half of the coefficients: since (z^(5^j))^(N/2) =
// i, slot j is the value of the complex polynomial u + i*v of degree below n = N/2 at z^(5^j).
// Halving works as in a fast Fourier transform: the even and odd coefficients have values at the
// squares, the n/2 points exp(i*pi/(N/2) * 5^j), and point j + n/2 is minus point j.
SlotTransform::SlotTransform(size_t degree) : slots_(degree / 2), bit_reversed_(degree / 2) {
  BAUTA_ASSERT(std::has_single_bit(degree) && degree >= 4);
  roots_.real.resize(slots_);
  roots_.imaginary.resize(slots_);
  for (size_t half = 1; half < slots_; half *= 2) {
    size_t power = 1;
    for (size_t j = 0; j < half; ++j, power = power * 5 % (8 * half)) {
      const double angle =
          2 * std::numbers::pi * static_cast<double>(power) / static_cast<double>(8 * half);
      roots_.real[half + j] = std::cos(angle);
      roots_.imaginary[half + j] = std::sin(angle);
    }
  }
  for (size_t i = 1; i < slots_; ++i)
    bit_reversed_[i] = static_cast<uint32_t>(bit_reversed_[i / 2] / 2 + (i % 2) * slots_ / 2);
}

std::vector<double> SlotTransform::to_coefficients(std::span<const Complex> slots) const {
  BAUTA_ASSERT(slots.size() == slots_);
  Parts values{std::vector<double>(slots_), std::vector<double>(slots_)};
  for (size_t i = 0; i < slots_; ++i) {
    values.real[i] = slots[i].real();
    values.imaginary[i] = slots[i].imag();
  }
  for (size_t half = slots_ / 2; half >= 1; half /= 2) {
    const double* root_real = roots_.real.data() + half;
    const double* root_imaginary = roots_.imaginary.data() + half;
    for (size_t begin = 0; begin < slots_; begin += 2 * half) {
      double* xr = values.real.data() + begin;
      double* xi = values.imaginary.data() + begin;
      double* yr = xr + half;
      double* yi = xi + half;
      for (size_t j = 0; j < half; ++j) {
        const double dr = xr[j] - yr[j];
        const double di = xi[j] - yi[j];
        xr[j] += yr[j];
        xi[j] += yi[j];
        yr[j] = dr * root_real[j] + di * root_imaginary[j];  // times the conjugate root
        yi[j] = di * root_real[j] - dr * root_imaginary[j];
      }
    }
  }
  std::vector<double> coefficients(2 * slots_);
  const double inverse = 1.0 / static_cast<double>(slots_);
  for (size_t i = 0; i < slots_; ++i) {
    coefficients[i] = values.real[bit_reversed_[i]] * inverse;
    coefficients[i + slots_] = values.imaginary[bit_reversed_[i]] * inverse;
  }
  return coefficients;
}

std::vector<Complex> SlotTransform::to_slots(std::span<const double> coefficients) const {
  BAUTA_ASSERT(coefficients.size() == 2 * slots_);
  Parts values{std::vector<double>(slots_), std::vector<double>(slots_)};
  for (size_t i = 0; i < slots_; ++i) {
    values.real[i] = coefficients[bit_reversed_[i]];
    values.imaginary[i] = coefficients[bit_reversed_[i] + slots_];
  }
  for (size_t half = 1; half < slots_; half *= 2) {
    const double* root_real = roots_.real.data() + half;
    const double* root_imaginary = roots_.imaginary.data() + half;
    for (size_t begin = 0; begin < slots_; begin += 2 * half) {
      double* xr = values.real.data() + begin;
      double* xi = values.imaginary.data() + begin;
      double* yr = xr + half;
      double* yi = xi + half;
      for (size_t j = 0; j < half; ++j) {
        const double pr = yr[j] * root_real[j] - yi[j] * root_imaginary[j];
        const double pi = yr[j] * root_imaginary[j] + yi[j] * root_real[j];
        yr[j] = xr[j] - pr;
        yi[j] = xi[j] - pi;
        xr[j] += pr;
        xi[j] += pi;
      }
    }
  }
  std::vector<Complex> slots(slots_);
  for (size_t i = 0; i < slots_; ++i) slots[i] = {values.real[i], values.imaginary[i]};
  return slots;
}

}  // namespace bauta::ckks
