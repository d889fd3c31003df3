// The leaf of the transform on AVX-512 (see simd/vector/transform.h): 256 values in sixteen
// registers. Four stages with a root per vector; then row and column change places, and the last
// four stages work across registers with a root per word.
#pragma once

#include "simd/avx512/vector.h"
#include "simd/vector/transform.h"

namespace bauta::simd {
namespace {

// x[i][0] word j becomes x[j][0] word i.
inline void transpose(Vector (&x)[16][1]) {
  Vector pairs[16], quads[16];
#pragma GCC unroll 8
  for (size_t i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(x[i][0], x[i + 1][0]);
    pairs[i + 1] = _mm512_unpackhi_epi32(x[i][0], x[i + 1][0]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 16; i += 4) {
    quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
    quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
    quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
    quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
  }
  // quads[4 g + c] holds, in its quarter l, column 4 l + c of rows 4 g to 4 g + 3.
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    const Vector even_low = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0x88);
    const Vector odd_low = _mm512_shuffle_i32x4(quads[c], quads[4 + c], 0xdd);
    const Vector even_high = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0x88);
    const Vector odd_high = _mm512_shuffle_i32x4(quads[8 + c], quads[12 + c], 0xdd);
    x[c][0] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    x[4 + c][0] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    x[8 + c][0] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    x[12 + c][0] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

struct Leaf {
  static constexpr size_t kLength = 256;
  static constexpr size_t kPassVectors = 16;

  // Four stages need sixteen registers; beyond 4096 values, their sixteen lines would fall into too
  // few sets of the cache.
  static size_t stages_of_pass(size_t length) {
    if (length == 16 * kLength) return 4;
    return stages_between(length, kLength) % 2 == 0 ? 2 : 1;
  }

  static void forward(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.leaf_roots + root_offset(node, ntt);
    Vector x[16][1];
    load_all(x, values, 16);
    forward_stages<4>(x, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.roots[(node << stage) + group]);
    });
    transpose(x);
    forward_stages<4>(
        x, c, [&](size_t stage, size_t group, size_t) { return root(leaf_roots, stage, group); });
#pragma GCC unroll 16
    for (size_t k = 0; k < 16; ++k)
      x[k][0] = subtract_if_not_below(subtract_if_not_below(x[k][0], c.two_q), c.q);
    transpose(x);
    store_all(values, 16, x);
  }

  static void inverse(uint32_t* values, size_t node, const NttConstants& ntt,
                      const TransformConstants& c) {
    const uint32_t* leaf_roots = ntt.inverse_leaf_roots + root_offset(node, ntt);
    Vector x[16][1];
    load_all(x, values, 16);
    transpose(x);
    inverse_stages<4, 0>(
        x, c, [&](size_t stage, size_t group, size_t) { return root(leaf_roots, stage, group); });
    transpose(x);
    inverse_stages<4, 0>(x, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.inverse_roots[(node << stage) + group]);
    });
    store_all(values, 16, x);
  }

 private:
  static size_t root_offset(size_t node, const NttConstants& ntt) {
    return (node - ((size_t{1} << ntt.log_degree) / kLength)) * kLeafWords;
  }
  static Factor root(const uint32_t* leaf_roots, size_t stage, size_t group) {
    const uint32_t* pair = leaf_roots + 32 * leaf_slot(stage, group);
    const Vector quotient = load(pair + 16);
    return {load(pair), quotient, odd_words(quotient)};
  }
};

}  // namespace
}  // namespace bauta::simd
