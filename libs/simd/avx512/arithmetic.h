// Residue arithmetic on sixteen words. For the .cpp files of this folder alone: everything is in an
// anonymous namespace, so that no code compiled with AVX-512 is shared with other files.
//
// Constant time: conditional subtractions are minima, and no address depends on a residue.
#pragma once

#include <immintrin.h>

#include "simd/kernel_table.h"

namespace bauta::simd {
namespace {

using Vector = __m512i;

constexpr __mmask16 kOddLanes = 0xaaaa;

inline Vector load(const uint32_t* address) {
  return _mm512_loadu_si512(address);
}
inline void store(uint32_t* address, Vector x) {
  _mm512_storeu_si512(address, x);
}
inline Vector broadcast(uint32_t x) {
  return _mm512_set1_epi32(static_cast<int>(x));
}

// The odd words moved down to the even places, where a 32x32-bit multiplication reads.
inline Vector odd_words(Vector x) {
  return _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(x)));
}
// The high halves of eight products for the even words and of eight for the odd ones.
inline Vector high_words(Vector even, Vector odd) {
  return _mm512_castps_si512(_mm512_mask_movehdup_ps(
      _mm512_castsi512_ps(odd), static_cast<__mmask16>(~kOddLanes), _mm512_castsi512_ps(even)));
}
// The low halves of the same.
inline Vector low_words(Vector even, Vector odd) {
  return _mm512_castps_si512(
      _mm512_mask_moveldup_ps(_mm512_castsi512_ps(even), kOddLanes, _mm512_castsi512_ps(odd)));
}

// x - bound where x >= bound, else x; for bound <= 2^31 and x < bound + 2^31.
inline Vector subtract_if_not_below(Vector x, Vector bound) {
  return _mm512_min_epu32(x, _mm512_sub_epi32(x, bound));
}

// A constant factor per word; `odd_quotient` is odd_words(quotient).
struct Factor {
  Vector value, quotient, odd_quotient;
};

inline Factor broadcast(ShoupFactor factor) {
  const Vector quotient = broadcast(factor.quotient);
  return {broadcast(factor.value), quotient, quotient};
}

// x * factor modulo q, in [0, 2q), for any words x.
inline Vector shoup_lazy(Vector x, const Factor& factor, Vector q) {
  const Vector even = _mm512_mul_epu32(x, factor.quotient);
  const Vector odd = _mm512_mul_epu32(odd_words(x), factor.odd_quotient);
  return _mm512_sub_epi32(_mm512_mullo_epi32(x, factor.value),
                          _mm512_mullo_epi32(high_words(even, odd), q));
}

// Sixteen sums or products of 64 bits: those of the even words and those of the odd ones.
struct Wide {
  Vector even, odd;
};

inline Wide multiply_wide(Vector a, Vector b) {
  return {_mm512_mul_epu32(a, b), _mm512_mul_epu32(odd_words(a), odd_words(b))};
}
inline Wide add_wide(const Wide& a, const Wide& b) {
  return {_mm512_add_epi64(a.even, b.even), _mm512_add_epi64(a.odd, b.odd)};
}

// A modulus, ready for the Barrett reduction that ModulusConstants describes.
class Reduction {
 public:
  explicit Reduction(const ModulusConstants& modulus)
      : q_(broadcast(modulus.value)),
        two_q_(broadcast(2 * modulus.value)),
        ratio_(broadcast(modulus.ratio)),
        bits_(_mm512_set1_epi64(modulus.bits)),
        high_q_(_mm512_slli_epi64(q_, 32)),
        high_two_q_(_mm512_slli_epi64(two_q_, 32)) {}

  Vector q() const { return q_; }

  // x modulo q for x < q * 2^32.
  Vector reduce(const Wide& x) const {
    const Vector even = _mm512_mul_epu32(_mm512_srlv_epi64(x.even, bits_), ratio_);
    const Vector odd = _mm512_mul_epu32(_mm512_srlv_epi64(x.odd, bits_), ratio_);
    const Vector quotient =
        _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 31), kOddLanes, _mm512_slli_epi64(odd, 1));
    const Vector remainder =
        _mm512_sub_epi32(low_words(x.even, x.odd), _mm512_mullo_epi32(quotient, q_));
    return subtract_if_not_below(subtract_if_not_below(remainder, two_q_), q_);
  }

  // From below 4q * 2^32 to below 2q * 2^32. Only the high words change.
  Wide fold(const Wide& x) const {
    return {subtract_if_not_below(x.even, high_two_q_), subtract_if_not_below(x.odd, high_two_q_)};
  }
  // x modulo q for x < 4q * 2^32.
  Vector reduce_sum(const Wide& x) const {
    const Wide folded = fold(x);
    return reduce(
        {subtract_if_not_below(folded.even, high_q_), subtract_if_not_below(folded.odd, high_q_)});
  }

 private:
  Vector q_, two_q_, ratio_, bits_, high_q_, high_two_q_;
};

}  // namespace
}  // namespace bauta::simd
