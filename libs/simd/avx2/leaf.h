// The leaf of the transform on AVX2 (see simd/vector/transform.h): 128 values, eight rows of
// sixteen, in sixteen vectors, half a row in each. Four stages with a root per vector; then row and
// column change places, four rows at a time, and the last three stages work across vectors with a
// root per word.
#pragma once

#include "simd/avx2/vector.h"
#include "simd/vector/transform.h"

namespace bauta::simd {
namespace {

// Four rows at a time, halves[4 g + r][h] word k becomes columns[k][g] word 4 h + r: the four words
// of a vector that have the same group of roots stand together, as they do in the tables.
inline void transpose_to_columns(Vector (&columns)[8][2], const Vector (&halves)[8][2]) {
#pragma GCC unroll 2
  for (size_t g = 0; g < 2; ++g) {
    // quads[h][c] holds columns c and 4 + c of the four rows' halves h.
    Vector quads[2][4];
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; ++h) {
      const Vector low01 = _mm256_unpacklo_epi32(halves[4 * g][h], halves[4 * g + 1][h]);
      const Vector high01 = _mm256_unpackhi_epi32(halves[4 * g][h], halves[4 * g + 1][h]);
      const Vector low23 = _mm256_unpacklo_epi32(halves[4 * g + 2][h], halves[4 * g + 3][h]);
      const Vector high23 = _mm256_unpackhi_epi32(halves[4 * g + 2][h], halves[4 * g + 3][h]);
      quads[h][0] = _mm256_unpacklo_epi64(low01, low23);
      quads[h][1] = _mm256_unpackhi_epi64(low01, low23);
      quads[h][2] = _mm256_unpacklo_epi64(high01, high23);
      quads[h][3] = _mm256_unpackhi_epi64(high01, high23);
    }
#pragma GCC unroll 4
    for (size_t c = 0; c < 4; ++c) {
      columns[c][g] = _mm256_permute2x128_si256(quads[0][c], quads[1][c], 0x20);
      columns[4 + c][g] = _mm256_permute2x128_si256(quads[0][c], quads[1][c], 0x31);
    }
  }
}

// The inverse of transpose_to_columns.
inline void transpose_to_halves(Vector (&halves)[8][2], const Vector (&columns)[8][2]) {
#pragma GCC unroll 2
  for (size_t g = 0; g < 2; ++g) {
#pragma GCC unroll 2
    for (size_t h = 0; h < 2; ++h) {
      Vector quads[4];
#pragma GCC unroll 4
      for (size_t c = 0; c < 4; ++c)
        quads[c] = h == 0 ? _mm256_permute2x128_si256(columns[c][g], columns[4 + c][g], 0x20)
                          : _mm256_permute2x128_si256(columns[c][g], columns[4 + c][g], 0x31);
      const Vector low01 = _mm256_unpacklo_epi32(quads[0], quads[1]);
      const Vector high01 = _mm256_unpackhi_epi32(quads[0], quads[1]);
      const Vector low23 = _mm256_unpacklo_epi32(quads[2], quads[3]);
      const Vector high23 = _mm256_unpackhi_epi32(quads[2], quads[3]);
      halves[4 * g][h] = _mm256_unpacklo_epi64(low01, low23);
      halves[4 * g + 1][h] = _mm256_unpackhi_epi64(low01, low23);
      halves[4 * g + 2][h] = _mm256_unpacklo_epi64(high01, high23);
      halves[4 * g + 3][h] = _mm256_unpackhi_epi64(high01, high23);
    }
  }
}

struct Leaf {
  static constexpr size_t kLength = 128;
  static constexpr size_t kPassVectors = 8;

  static size_t stages_of_pass(size_t length) {
    return stages_between(length, kLength) % 2 == 0 ? 2 : 1;
  }

  static void forward(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.leaf_roots + root_offset(node, ntt);
    Vector halves[8][2], columns[8][2];
    load_all(halves, values, 16);
    forward_stages<3>(halves, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.roots[(node << stage) + group]);
    });
#pragma GCC unroll 8
    for (size_t row = 0; row < 8; ++row)
      forward_butterfly(halves[row][0], halves[row][1], half_root(leaf_roots, row), c);
    transpose_to_columns(columns, halves);
    forward_stages<3>(columns, c, [&](size_t stage, size_t group, size_t column) {
      return word_root(leaf_roots + 4 * column, stage, group);
    });
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; ++k)
#pragma GCC unroll 2
      for (size_t g = 0; g < 2; ++g)
        columns[k][g] = subtract_if_not_below(subtract_if_not_below(columns[k][g], c.two_q), c.q);
    transpose_to_halves(halves, columns);
    store_all(values, 16, halves);
  }

  static void inverse(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.inverse_leaf_roots + root_offset(node, ntt);
    Vector halves[8][2], columns[8][2];
    load_all(halves, values, 16);
    transpose_to_columns(columns, halves);
    inverse_stages<3, 0>(columns, c, [&](size_t stage, size_t group, size_t column) {
      return word_root(leaf_roots + 4 * column, stage, group);
    });
    transpose_to_halves(halves, columns);
#pragma GCC unroll 8
    for (size_t row = 0; row < 8; ++row)
      inverse_butterfly(halves[row][0], halves[row][1], half_root(leaf_roots, row), c);
    inverse_stages<3, 0>(halves, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.inverse_roots[(node << stage) + group]);
    });
    store_all(values, 16, halves);
  }

 private:
  // Of the first of the eight rows, in the tables of its block of sixteen.
  static size_t root_offset(size_t node, const NttConstants& ntt) {
    const size_t leaf = node - ((size_t{1} << ntt.log_degree) / kLength);
    return leaf / 2 * kLeafWords + leaf % 2 * 8;
  }
  // Between the halves of a row.
  static Factor half_root(const uint32_t* leaf_roots, size_t row) {
    const uint32_t* pair = leaf_roots + 32 * leaf_slot(0, 0) + row;
    return broadcast(ShoupFactor{pair[0], pair[16]});
  }
  // Within halves, of four rows: four words for the left ones, four for the right ones.
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
