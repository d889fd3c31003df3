// Between the slots of a message and the coefficients of its polynomial.
#pragma once

#include <complex>
#include <span>
#include <vector>

namespace bauta::ckks {

using Complex = std::complex<double>;

// The canonical embedding of real polynomials modulo X^N + 1 (Cheon, Kim, Kim, Song: "Homomorphic
// encryption for arithmetic of approximate numbers", ASIACRYPT 2017): slot j < N/2 of p is
// p(z^(5^j)) with z = exp(i*pi/N). The automorphism X -> X^(5^k) turns the slots by k, X -> X^-1
// conjugates them.
class SlotTransform {
 public:
  // degree: a power of two, at least 4.
  explicit SlotTransform(size_t degree);

  size_t degree() const { return 2 * slots_; }
  size_t slots() const { return slots_; }

  // N/2 slots to N coefficients. Time N log N; relative error about 1e-15.
  std::vector<double> to_coefficients(std::span<const Complex> slots) const;
  std::vector<Complex> to_slots(std::span<const double> coefficients) const;

 private:
  // Real and imaginary parts of a vector of N/2 numbers.
  struct Parts {
    std::vector<double> real, imaginary;
  };

  size_t slots_;
  // Entry h + j: exp(2*pi*i * (5^j mod 8h) / 8h), for the stage of half-length h, j < h.
  Parts roots_;
  std::vector<uint32_t> bit_reversed_;
};

}  // namespace bauta::ckks
