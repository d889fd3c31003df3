// Eight words of AVX2, in the vocabulary of simd/vector/. For the .cpp files of this folder alone:
// everything is in an anonymous namespace, so that no code compiled with AVX2 is shared.
#pragma once

#include <immintrin.h>

#include "simd/kernel_table.h"

namespace bauta::simd {
namespace {

using Vector = __m256i;
constexpr size_t kVectorWords = 8;
constexpr size_t kVectorRegisters = 16;
constexpr int kOddWords = 0xaa;

inline Vector load(const uint32_t* address) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(address));
}
inline void store(uint32_t* address, Vector x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(address), x);
}
inline Vector broadcast(uint32_t x) {
  return _mm256_set1_epi32(static_cast<int>(x));
}
inline Vector broadcast_wide(uint64_t x) {
  return _mm256_set1_epi64x(static_cast<int64_t>(x));
}

// On words.
inline Vector add(Vector a, Vector b) {
  return _mm256_add_epi32(a, b);
}
inline Vector subtract(Vector a, Vector b) {
  return _mm256_sub_epi32(a, b);
}
inline Vector minimum(Vector a, Vector b) {
  return _mm256_min_epu32(a, b);
}
inline Vector multiply_low(Vector a, Vector b) {
  return _mm256_mullo_epi32(a, b);
}
// 64-bit products of the even words.
inline Vector multiply_even(Vector a, Vector b) {
  return _mm256_mul_epu32(a, b);
}

// On pairs of words.
inline Vector exclusive_or(Vector a, Vector b) {
  return _mm256_xor_si256(a, b);
}
inline Vector add_wide(Vector a, Vector b) {
  return _mm256_add_epi64(a, b);
}
inline Vector shift_left_wide(Vector x, int bits) {
  return _mm256_slli_epi64(x, bits);
}
inline Vector shift_right_wide(Vector x, int bits) {
  return _mm256_srli_epi64(x, bits);
}
inline Vector shift_right_wide(Vector x, Vector bits) {
  return _mm256_srlv_epi64(x, bits);
}

// The odd words moved down to the even places.
inline Vector odd_words(Vector x) {
  return _mm256_srli_epi64(x, 32);
}
// Even words of the one, odd words of the other.
inline Vector even_and_odd(Vector even, Vector odd) {
  return _mm256_blend_epi32(even, odd, kOddWords);
}
// The high words of both, those of `even` moved down.
inline Vector high_words(Vector even, Vector odd) {
  return even_and_odd(odd_words(even), odd);
}
// The low words of both, those of `odd` moved up.
inline Vector low_words(Vector even, Vector odd) {
  return even_and_odd(even, _mm256_castps_si256(_mm256_moveldup_ps(_mm256_castsi256_ps(odd))));
}

// The even words, then the odd ones: puts in order what was computed on four pairs of words and the
// four after them.
inline Vector in_order(Vector x) {
  return _mm256_permutevar8x32_epi32(x, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

}  // namespace
}  // namespace bauta::simd
