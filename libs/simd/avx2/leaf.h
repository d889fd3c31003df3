// The leaf of the transform on AVX2 (see simd/vector/transform.h): 64 values, four rows of sixteen,
// in eight registers, half a row in each. Three stages with a root per vector; then row and column
// change places, and the last three stages work across registers with a root per word.
//
// The registers are the left halves of the four rows, then the right halves: so the four words of a
// register that have the same group of roots stand together, as they do in the tables.
#pragma once

#include "simd/avx2/vector.h"
#include "simd/vector/transform.h"

namespace bauta::simd {
namespace {

// x[i] word j becomes x[j] word i.
inline void transpose(Vector (&x)[8]) {
  Vector pairs[8], quads[8];
#pragma GCC unroll 4
  for (size_t i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
  }
#pragma GCC unroll 2
  for (size_t i = 0; i < 8; i += 4) {
    quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
    quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
    quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    x[c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x20);
    x[4 + c] = _mm256_permute2x128_si256(quads[c], quads[4 + c], 0x31);
  }
}

struct Leaf {
  static constexpr size_t kLength = 64;

  static size_t stages_of_pass(size_t length) {
    return stages_between(length, kLength) % 2 == 0 ? 2 : 1;
  }

  static void forward(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.leaf_roots + root_offset(node, ntt);
    const auto row_root = [&](size_t stage, size_t group) {
      return broadcast(ntt.roots[(node << stage) + group]);
    };
    Vector x[8];
    Vector(&left)[4] = reinterpret_cast<Vector(&)[4]>(x[0]);
    Vector(&right)[4] = reinterpret_cast<Vector(&)[4]>(x[4]);
    load_all(left, values, 16);
    load_all(right, values + 8, 16);
    forward_stages<2>(left, c, row_root);
    forward_stages<2>(right, c, row_root);
#pragma GCC unroll 4
    for (size_t row = 0; row < 4; ++row)
      forward_butterfly(left[row], right[row], half_root(leaf_roots, row), c);
    transpose(x);
    forward_stages<3>(
        x, c, [&](size_t stage, size_t group) { return word_root(leaf_roots, stage, group); });
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; ++k)
      x[k] = subtract_if_not_below(subtract_if_not_below(x[k], c.two_q), c.q);
    transpose(x);
    store_all(values, 16, left);
    store_all(values + 8, 16, right);
  }

  static void inverse(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.inverse_leaf_roots + root_offset(node, ntt);
    const auto row_root = [&](size_t stage, size_t group) {
      return broadcast(ntt.inverse_roots[(node << stage) + group]);
    };
    Vector x[8];
    Vector(&left)[4] = reinterpret_cast<Vector(&)[4]>(x[0]);
    Vector(&right)[4] = reinterpret_cast<Vector(&)[4]>(x[4]);
    load_all(left, values, 16);
    load_all(right, values + 8, 16);
    transpose(x);
    inverse_stages<3, 0>(
        x, c, [&](size_t stage, size_t group) { return word_root(leaf_roots, stage, group); });
    transpose(x);
#pragma GCC unroll 4
    for (size_t row = 0; row < 4; ++row)
      inverse_butterfly(left[row], right[row], half_root(leaf_roots, row), c);
    inverse_stages<2, 0>(left, c, row_root);
    inverse_stages<2, 0>(right, c, row_root);
    store_all(values, 16, left);
    store_all(values + 8, 16, right);
  }

 private:
  // Of the first of the four rows, in the tables of its block of sixteen.
  static size_t root_offset(size_t node, const NttConstants& ntt) {
    const size_t leaf = node - ((size_t{1} << ntt.log_degree) / kLength);
    return leaf / 4 * kLeafWords + leaf % 4 * 4;
  }
  // Between the halves of a row.
  static Factor half_root(const uint32_t* leaf_roots, size_t row) {
    const uint32_t* pair = leaf_roots + 32 * leaf_slot(0, 0) + row;
    return broadcast(ShoupFactor{pair[0], pair[16]});
  }
  // Within halves: four words for the left ones, four for the right ones.
  static Factor word_root(const uint32_t* leaf_roots, size_t stage, size_t group) {
    const uint32_t* left = leaf_roots + 32 * leaf_slot(stage + 1, group);
    const uint32_t* right = leaf_roots + 32 * leaf_slot(stage + 1, (size_t{1} << stage) + group);
    const Vector quotient = join(left + 16, right + 16);
    return {join(left, right), quotient, odd_words(quotient)};
  }
  static Vector join(const uint32_t* low, const uint32_t* high) {
    return _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(high),
                               reinterpret_cast<const __m128i*>(low));
  }
};

}  // namespace
}  // namespace bauta::simd
