// Residue arithmetic on single words: the plain form of what every kernel does. Constant time: no
// branch and no index depends on a residue.
//
// Not for the files of the vector instruction sets: an inline function compiled there might be the
// copy that the linker keeps for everybody.
#pragma once

#include <cstdint>

#include "simd/kernel_table.h"

namespace bauta::simd::scalar {

// x - bound if x >= bound, else x; for bound <= 2^31 and x < bound + 2^31.
inline uint32_t subtract_if_not_below(uint32_t x, uint32_t bound) {
  const uint32_t difference = x - bound;
  return difference + (bound & (0u - (difference >> 31)));
}

// [0, 4q) to [0, q)
inline uint32_t reduce_from_4q(uint32_t x, uint32_t q) {
  return subtract_if_not_below(subtract_if_not_below(x, 2 * q), q);
}

// x modulo q for x < q * 2^32.
inline uint32_t barrett(uint64_t x, const ModulusConstants& modulus) {
  const auto quotient = static_cast<uint32_t>(((x >> modulus.bits) * modulus.ratio) >> 31);
  return reduce_from_4q(static_cast<uint32_t>(x) - quotient * modulus.value, modulus.value);
}

// x modulo q for any x.
inline uint32_t reduce_wide(uint64_t x, const ModulusConstants& modulus) {
  const uint64_t high = barrett(x >> 32, modulus);
  return barrett((high << 32) | static_cast<uint32_t>(x), modulus);
}

// x * factor modulo q, in [0, 2q), for any word x.
inline uint32_t shoup_lazy(uint32_t x, ShoupFactor factor, uint32_t q) {
  const auto quotient = static_cast<uint32_t>((uint64_t{x} * factor.quotient) >> 32);
  return x * factor.value - quotient * q;
}

inline uint32_t add(uint32_t a, uint32_t b, uint32_t q) {
  return subtract_if_not_below(a + b, q);
}

inline uint32_t subtract(uint32_t a, uint32_t b, uint32_t q) {
  return subtract_if_not_below(a + q - b, q);
}

}  // namespace bauta::simd::scalar
