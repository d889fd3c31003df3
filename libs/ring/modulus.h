// Prime moduli that fit a word with two bits to spare.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "simd/kernels.h"
#include "simd/scalar/arithmetic.h"

namespace bauta::ring {

// An odd prime below 2^30 and arithmetic modulo it on single residues. Operands are reduced, in
// [0, q), unless said otherwise; results always are. Constant time except create, power (in the
// exponent) and inverse. Vectors go through simd::kernels() with constants().
class Modulus {
 public:
  // Error: not an odd prime below 2^30.
  static Result<Modulus> create(uint64_t value);

  uint32_t value() const { return constants_.value; }
  const simd::ModulusConstants& constants() const { return constants_; }

  uint32_t add(uint32_t a, uint32_t b) const { return simd::scalar::add(a, b, value()); }
  uint32_t subtract(uint32_t a, uint32_t b) const { return simd::scalar::subtract(a, b, value()); }
  uint32_t negate(uint32_t a) const { return subtract(0, a); }
  uint32_t multiply(uint32_t a, uint32_t b) const {
    return simd::scalar::barrett(uint64_t{a} * b, constants_);
  }
  // Any 64-bit value.
  uint32_t reduce(uint64_t x) const { return simd::scalar::reduce_wide(x, constants_); }
  uint32_t reduce_signed(int64_t x) const {
    // Offsets the value to be non-negative; 2^63 is taken away again as a residue.
    return subtract(reduce(static_cast<uint64_t>(x) ^ (uint64_t{1} << 63)), two_to_63_);
  }
  uint32_t power(uint32_t base, uint64_t exponent) const;
  // a^-1. Precondition: a != 0.
  uint32_t inverse(uint32_t a) const;
  // `factor` as a constant for repeated products.
  simd::ShoupFactor shoup(uint32_t factor) const {
    return {factor, static_cast<uint32_t>((uint64_t{factor} << 32) / value())};
  }

  friend bool operator==(const Modulus& a, const Modulus& b) { return a.value() == b.value(); }

 private:
  Modulus() = default;
  simd::ModulusConstants constants_;
  uint32_t two_to_63_ = 0;  // 2^63 modulo q
};

}  // namespace bauta::ring
