// The transform with sixteen words a vector.
//
// Forward: passes of several stages over ever shorter blocks, depth first, so that a block stays in
// the first-level cache once it fits; a vector there holds sixteen neighbours, which share their
// roots. The last eight stages run on blocks of 256 values in sixteen registers: four stages as
// before, then a transposition puts row j of the block into word j, and the last four stages work
// across registers with a root per word. The inverse goes the same way back.
#include "simd/avx512/ntt.h"

#include "simd/avx512/arithmetic.h"

namespace bauta::simd {
namespace {

constexpr size_t kLeaf = 256;

struct Constants {
  Vector q, two_q;
};

// Cooley-Tukey: (x, y) to (x + w y, x - w y), words below 4q in and out.
inline void forward_butterfly(Vector& x, Vector& y, const Factor& root, const Constants& c) {
  const Vector reduced = subtract_if_not_below(x, c.two_q);
  const Vector product = shoup_lazy(y, root, c.q);
  x = _mm512_add_epi32(reduced, product);
  y = _mm512_sub_epi32(_mm512_add_epi32(reduced, c.two_q), product);
}

// Gentleman-Sande: (x, y) to (x + y, (x - y) w), words below 2q in and out.
inline void inverse_butterfly(Vector& x, Vector& y, const Factor& root, const Constants& c) {
  const Vector difference = _mm512_sub_epi32(_mm512_add_epi32(x, c.two_q), y);
  x = subtract_if_not_below(_mm512_add_epi32(x, y), c.two_q);
  y = shoup_lazy(difference, root, c.q);
}

inline Factor leaf_root(const uint32_t* leaf_roots, size_t stage, size_t group) {
  const uint32_t* pair = leaf_roots + 32 * leaf_slot(stage, group);
  const Vector quotient = load(pair + 16);
  return {load(pair), quotient, odd_words(quotient)};
}

// Row and column change places: x[i] word j becomes x[j] word i.
inline void transpose(Vector (&x)[16]) {
  Vector pairs[16], quads[16];
#pragma GCC unroll 8
  for (size_t i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
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
    x[c] = _mm512_shuffle_i32x4(even_low, even_high, 0x88);
    x[4 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
    x[8 + c] = _mm512_shuffle_i32x4(even_low, even_high, 0xdd);
    x[12 + c] = _mm512_shuffle_i32x4(odd_low, odd_high, 0xdd);
  }
}

// `stages` stages over 2^stages vectors; root(stage, group) gives the roots.
template <size_t stages, typename Root>
inline void forward_stages(Vector (&x)[size_t{1} << stages], const Constants& c, Root root) {
#pragma GCC unroll 4
  for (size_t stage = 0; stage < stages; ++stage) {
    const size_t distance = (size_t{1} << stages) >> (stage + 1);
#pragma GCC unroll 8
    for (size_t group = 0; group < size_t{1} << stage; ++group) {
      const Factor factor = root(stage, group);
      Vector* block = x + 2 * distance * group;
#pragma GCC unroll 8
      for (size_t i = 0; i < distance; ++i)
        forward_butterfly(block[i], block[i + distance], factor, c);
    }
  }
}

// The same backwards, without the stages before `first`.
template <size_t stages, size_t first, typename Root>
inline void inverse_stages(Vector (&x)[size_t{1} << stages], const Constants& c, Root root) {
#pragma GCC unroll 4
  for (size_t done = 0; done < stages - first; ++done) {
    const size_t stage = stages - 1 - done;
    const size_t distance = size_t{1} << done;
#pragma GCC unroll 8
    for (size_t group = 0; group < size_t{1} << stage; ++group) {
      const Factor factor = root(stage, group);
      Vector* block = x + 2 * distance * group;
#pragma GCC unroll 8
      for (size_t i = 0; i < distance; ++i)
        inverse_butterfly(block[i], block[i + distance], factor, c);
    }
  }
}

template <size_t count>
inline void load_all(Vector (&x)[count], const uint32_t* values, size_t stride) {
#pragma GCC unroll 16
  for (size_t k = 0; k < count; ++k) x[k] = load(values + k * stride);
}

template <size_t count>
inline void store_all(uint32_t* values, size_t stride, const Vector (&x)[count]) {
#pragma GCC unroll 16
  for (size_t k = 0; k < count; ++k) store(values + k * stride, x[k]);
}

// One pass over the block of `length` values whose first stage has the root of index `node`.
template <size_t stages>
void forward_pass(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                  const Constants& c) {
  const size_t stride = length >> stages;
  for (size_t i = 0; i < stride; i += 16) {
    Vector x[size_t{1} << stages];
    load_all(x, values + i, stride);
    forward_stages<stages>(x, c, [&](size_t stage, size_t group) {
      return broadcast(ntt.roots[(node << stage) + group]);
    });
    store_all(values + i, stride, x);
  }
}

template <size_t stages>
void inverse_pass(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                  const Constants& c) {
  const size_t stride = length >> stages;
  for (size_t i = 0; i < stride; i += 16) {
    Vector x[size_t{1} << stages];
    load_all(x, values + i, stride);
    inverse_stages<stages, 0>(x, c, [&](size_t stage, size_t group) {
      return broadcast(ntt.inverse_roots[(node << stage) + group]);
    });
    store_all(values + i, stride, x);
  }
}

// The pass that ends the inverse: its last stage takes the division by N along.
template <size_t stages>
void last_inverse_pass(uint32_t* values, const NttConstants& ntt, const Constants& c) {
  constexpr size_t kHalf = size_t{1} << (stages - 1);
  const size_t stride = (size_t{1} << ntt.log_degree) >> stages;
  const Factor inverse_degree = broadcast(ntt.inverse_degree);
  const Factor inverse_degree_root = broadcast(ntt.inverse_degree_root);
  for (size_t i = 0; i < stride; i += 16) {
    Vector x[2 * kHalf];
    load_all(x, values + i, stride);
    inverse_stages<stages, 1>(x, c, [&](size_t stage, size_t group) {
      return broadcast(ntt.inverse_roots[(size_t{1} << stage) + group]);
    });
#pragma GCC unroll 8
    for (size_t k = 0; k < kHalf; ++k) {
      const Vector sum = _mm512_add_epi32(x[k], x[k + kHalf]);
      const Vector difference = _mm512_sub_epi32(_mm512_add_epi32(x[k], c.two_q), x[k + kHalf]);
      x[k] = subtract_if_not_below(shoup_lazy(sum, inverse_degree, c.q), c.q);
      x[k + kHalf] = subtract_if_not_below(shoup_lazy(difference, inverse_degree_root, c.q), c.q);
    }
    store_all(values + i, stride, x);
  }
}

void forward_leaf(uint32_t* values, size_t node, const uint32_t* leaf_roots,
                  const NttConstants& ntt, const Constants& c) {
  Vector x[16];
  load_all(x, values, 16);
  forward_stages<4>(x, c, [&](size_t stage, size_t group) {
    return broadcast(ntt.roots[(node << stage) + group]);
  });
  transpose(x);
  forward_stages<4>(
      x, c, [&](size_t stage, size_t group) { return leaf_root(leaf_roots, stage, group); });
#pragma GCC unroll 16
  for (size_t k = 0; k < 16; ++k)
    x[k] = subtract_if_not_below(subtract_if_not_below(x[k], c.two_q), c.q);
  transpose(x);
  store_all(values, 16, x);
}

void inverse_leaf(uint32_t* values, size_t node, const uint32_t* leaf_roots,
                  const NttConstants& ntt, const Constants& c) {
  Vector x[16];
  load_all(x, values, 16);
  transpose(x);
  inverse_stages<4, 0>(
      x, c, [&](size_t stage, size_t group) { return leaf_root(leaf_roots, stage, group); });
  transpose(x);
  inverse_stages<4, 0>(x, c, [&](size_t stage, size_t group) {
    return broadcast(ntt.inverse_roots[(node << stage) + group]);
  });
  store_all(values, 16, x);
}

// How many stages to take in one pass over a block of `length` values. Four need sixteen registers,
// and beyond 4096 values their lines would fall into too few sets of the cache.
size_t stages_of_pass(size_t length) {
  if (length == 16 * kLeaf) return 4;
  const bool even = (__builtin_ctzll(length / kLeaf) & 1) == 0;
  return even ? 2 : 1;
}

size_t leaf_offset(size_t node, const NttConstants& ntt) {
  return (node - ((size_t{1} << ntt.log_degree) / kLeaf)) * kLeafWords;
}

void forward_block(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                   const Constants& c) {
  if (length == kLeaf)
    return forward_leaf(values, node, ntt.leaf_roots + leaf_offset(node, ntt), ntt, c);
  const size_t stages = stages_of_pass(length);
  if (stages == 4) forward_pass<4>(values, length, node, ntt, c);
  if (stages == 2) forward_pass<2>(values, length, node, ntt, c);
  if (stages == 1) forward_pass<1>(values, length, node, ntt, c);
  const size_t part = length >> stages;
  for (size_t i = 0; i < size_t{1} << stages; ++i)
    forward_block(values + i * part, part, (node << stages) + i, ntt, c);
}

void inverse_block(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                   const Constants& c) {
  if (length == kLeaf)
    return inverse_leaf(values, node, ntt.inverse_leaf_roots + leaf_offset(node, ntt), ntt, c);
  const size_t stages = stages_of_pass(length);
  const size_t part = length >> stages;
  for (size_t i = 0; i < size_t{1} << stages; ++i)
    inverse_block(values + i * part, part, (node << stages) + i, ntt, c);
  if (node == 1) {
    if (stages == 4) last_inverse_pass<4>(values, ntt, c);
    if (stages == 2) last_inverse_pass<2>(values, ntt, c);
    if (stages == 1) last_inverse_pass<1>(values, ntt, c);
  } else {
    if (stages == 4) inverse_pass<4>(values, length, node, ntt, c);
    if (stages == 2) inverse_pass<2>(values, length, node, ntt, c);
    if (stages == 1) inverse_pass<1>(values, length, node, ntt, c);
  }
}

Constants constants_of(const NttConstants& ntt) {
  return {broadcast(ntt.modulus.value), broadcast(2 * ntt.modulus.value)};
}

}  // namespace

void ntt_forward_avx512(uint32_t* values, const NttConstants& ntt) {
  forward_block(values, size_t{1} << ntt.log_degree, 1, ntt, constants_of(ntt));
}

void ntt_inverse_avx512(uint32_t* values, const NttConstants& ntt) {
  inverse_block(values, size_t{1} << ntt.log_degree, 1, ntt, constants_of(ntt));
}

}  // namespace bauta::simd
