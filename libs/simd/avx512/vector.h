// Sixteen words of AVX-512, in the vocabulary of simd/vector/. For the .cpp files of this folder
// alone: everything is in an anonymous namespace, so that no code compiled with AVX-512 is shared.
#pragma once

#include <immintrin.h>

#include "simd/kernel_table.h"

namespace bauta::simd {
namespace {

using Vector = __m512i;
constexpr size_t kVectorWords = 16;
constexpr size_t kVectorRegisters = 32;
constexpr __mmask16 kEvenWords = 0x5555;
constexpr __mmask16 kOddWords = 0xaaaa;

inline Vector load(const uint32_t* address) {
  return _mm512_loadu_si512(address);
}
inline void store(uint32_t* address, Vector x) {
  _mm512_storeu_si512(address, x);
}
inline Vector broadcast(uint32_t x) {
  return _mm512_set1_epi32(static_cast<int>(x));
}
inline Vector broadcast_wide(uint64_t x) {
  return _mm512_set1_epi64(static_cast<int64_t>(x));
}

// On words.
inline Vector add(Vector a, Vector b) {
  return _mm512_add_epi32(a, b);
}
inline Vector subtract(Vector a, Vector b) {
  return _mm512_sub_epi32(a, b);
}
inline Vector minimum(Vector a, Vector b) {
  return _mm512_min_epu32(a, b);
}
inline Vector multiply_low(Vector a, Vector b) {
  return _mm512_mullo_epi32(a, b);
}
// 64-bit products of the even words.
inline Vector multiply_even(Vector a, Vector b) {
  return _mm512_mul_epu32(a, b);
}

// On pairs of words.
inline Vector exclusive_or(Vector a, Vector b) {
  return _mm512_xor_si512(a, b);
}
inline Vector add_wide(Vector a, Vector b) {
  return _mm512_add_epi64(a, b);
}
inline Vector shift_left_wide(Vector x, unsigned bits) {
  return _mm512_slli_epi64(x, bits);
}
inline Vector shift_right_wide(Vector x, unsigned bits) {
  return _mm512_srli_epi64(x, bits);
}
inline Vector shift_right_wide(Vector x, Vector bits) {
  return _mm512_srlv_epi64(x, bits);
}

// The odd words moved down to the even places.
inline Vector odd_words(Vector x) {
  return _mm512_castps_si512(_mm512_movehdup_ps(_mm512_castsi512_ps(x)));
}
// Even words of the one, odd words of the other.
inline Vector even_and_odd(Vector even, Vector odd) {
  return _mm512_mask_mov_epi32(even, kOddWords, odd);
}
// The high words of both, those of `even` moved down.
inline Vector high_words(Vector even, Vector odd) {
  return _mm512_castps_si512(
      _mm512_mask_movehdup_ps(_mm512_castsi512_ps(odd), kEvenWords, _mm512_castsi512_ps(even)));
}
// The low words of both, those of `odd` moved up.
inline Vector low_words(Vector even, Vector odd) {
  return _mm512_castps_si512(
      _mm512_mask_moveldup_ps(_mm512_castsi512_ps(even), kOddWords, _mm512_castsi512_ps(odd)));
}

// The even words, then the odd ones: puts in order what was computed on eight pairs of words and
// the eight after them.
inline Vector in_order(Vector x) {
  return _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15), x);
}

}  // namespace
}  // namespace bauta::simd
