// The number-theoretic transform on vectors of words. Included after the vector.h of an instruction
// set, by its kernels.cpp alone; everything is in an anonymous namespace.
//
// Forward: passes of a few stages over ever shorter blocks, depth first, so that a block stays in
// the first-level cache once it fits. A vector there holds neighbours, which share their roots. The
// last stages, where neighbours part, are the leaf of the instruction set: a block in registers,
// transposed so that each word of a vector has a root of its own. The inverse goes the same way
// back.
//
// A Leaf has
//   kLength                          values of a leaf
//   stages_of_pass(length)           1, 2 or 4 stages to take at once over a block of that length
//   kPassVectors                     vectors that a pass holds, at least 2^stages
//   forward(values, node, ntt, c)    all stages from the root of index `node` on, outputs reduced
//   inverse(values, node, ntt, c)    the same backwards, outputs below 2q
#pragma once

#include "simd/vector/reduction.h"

namespace bauta::simd {
namespace {

struct TransformConstants {
  explicit TransformConstants(const ModulusConstants& modulus)
      : q(broadcast(modulus.value)), two_q(broadcast(2 * modulus.value)) {}
  Vector q, two_q;
};

// Cooley-Tukey: (x, y) to (x + w y, x - w y), words below 4q in and out.
inline void forward_butterfly(Vector& x, Vector& y, const Factor& root,
                              const TransformConstants& c) {
  const Vector reduced = subtract_if_not_below(x, c.two_q);
  const Vector product = shoup_lazy(y, root, c.q);
  x = add(reduced, product);
  y = subtract(add(reduced, c.two_q), product);
}

// Gentleman-Sande: (x, y) to (x + y, (x - y) w), words below 2q in and out.
inline void inverse_butterfly(Vector& x, Vector& y, const Factor& root,
                              const TransformConstants& c) {
  const Vector difference = subtract(add(x, c.two_q), y);
  x = subtract_if_not_below(add(x, y), c.two_q);
  y = shoup_lazy(difference, root, c.q);
}

// `stages` stages over x[0] to x[2^stages - 1], in `width` columns that do not touch: a processor
// that waits for the products of one butterfly has others to begin. root(stage, group, column)
// gives the roots.
template <size_t stages, size_t width, typename Root>
inline void forward_stages(Vector (&x)[size_t{1} << stages][width], const TransformConstants& c,
                           const Root& root) {
#pragma GCC unroll 4
  for (size_t stage = 0; stage < stages; ++stage) {
    const size_t groups = size_t{1} << stage;
    const size_t distance = (size_t{1} << stages) / (2 * groups);
#pragma GCC unroll 8
    for (size_t group = 0; group < groups; ++group) {
#pragma GCC unroll 8
      for (size_t column = 0; column < width; ++column) {
        const Factor factor = root(stage, group, column);
#pragma GCC unroll 8
        for (size_t i = 0; i < distance; ++i) {
          const size_t k = 2 * distance * group + i;
          forward_butterfly(x[k][column], x[k + distance][column], factor, c);
        }
      }
    }
  }
}

// The same backwards, without the stages before `first`.
template <size_t stages, size_t first, size_t width, typename Root>
inline void inverse_stages(Vector (&x)[size_t{1} << stages][width], const TransformConstants& c,
                           const Root& root) {
#pragma GCC unroll 4
  for (size_t done = 0; done < stages - first; ++done) {
    const size_t stage = stages - 1 - done;
    const size_t groups = size_t{1} << stage;
    const size_t distance = size_t{1} << done;
#pragma GCC unroll 8
    for (size_t group = 0; group < groups; ++group) {
#pragma GCC unroll 8
      for (size_t column = 0; column < width; ++column) {
        const Factor factor = root(stage, group, column);
#pragma GCC unroll 8
        for (size_t i = 0; i < distance; ++i) {
          const size_t k = 2 * distance * group + i;
          inverse_butterfly(x[k][column], x[k + distance][column], factor, c);
        }
      }
    }
  }
}

// x[k][column] is the vector at values + k * stride + column * kVectorWords.
template <size_t count, size_t width>
inline void load_all(Vector (&x)[count][width], const uint32_t* values, size_t stride) {
#pragma GCC unroll 16
  for (size_t k = 0; k < count; ++k)
#pragma GCC unroll 8
    for (size_t column = 0; column < width; ++column)
      x[k][column] = load(values + k * stride + column * kVectorWords);
}

template <size_t count, size_t width>
inline void store_all(uint32_t* values, size_t stride, const Vector (&x)[count][width]) {
#pragma GCC unroll 16
  for (size_t k = 0; k < count; ++k)
#pragma GCC unroll 8
    for (size_t column = 0; column < width; ++column)
      store(values + k * stride + column * kVectorWords, x[k][column]);
}

// One pass over the block of `length` values whose first stage has the root of index `node`.
template <size_t stages, size_t width>
void forward_pass(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                  const TransformConstants& c) {
  const size_t stride = length >> stages;
  for (size_t i = 0; i < stride; i += width * kVectorWords) {
    Vector x[size_t{1} << stages][width];
    load_all(x, values + i, stride);
    forward_stages<stages>(x, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.roots[(node << stage) + group]);
    });
    store_all(values + i, stride, x);
  }
}

template <size_t stages, size_t width>
void inverse_pass(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                  const TransformConstants& c) {
  const size_t stride = length >> stages;
  for (size_t i = 0; i < stride; i += width * kVectorWords) {
    Vector x[size_t{1} << stages][width];
    load_all(x, values + i, stride);
    inverse_stages<stages, 0>(x, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.inverse_roots[(node << stage) + group]);
    });
    store_all(values + i, stride, x);
  }
}

// The pass that ends the inverse: its last stage takes the division by N along.
template <size_t stages, size_t width>
void last_inverse_pass(uint32_t* values, const NttConstants& ntt, const TransformConstants& c) {
  constexpr size_t kHalf = size_t{1} << (stages - 1);
  const size_t stride = (size_t{1} << ntt.log_degree) >> stages;
  const Factor inverse_degree = broadcast(ntt.inverse_degree);
  const Factor inverse_degree_root = broadcast(ntt.inverse_degree_root);
  for (size_t i = 0; i < stride; i += width * kVectorWords) {
    Vector x[2 * kHalf][width];
    load_all(x, values + i, stride);
    inverse_stages<stages, 1>(x, c, [&](size_t stage, size_t group, size_t) {
      return broadcast(ntt.inverse_roots[(size_t{1} << stage) + group]);
    });
#pragma GCC unroll 8
    for (size_t k = 0; k < kHalf; ++k) {
#pragma GCC unroll 8
      for (size_t column = 0; column < width; ++column) {
        Vector& left = x[k][column];
        Vector& right = x[k + kHalf][column];
        const Vector sum = add(left, right);
        const Vector difference = subtract(add(left, c.two_q), right);
        left = subtract_if_not_below(shoup_lazy(sum, inverse_degree, c.q), c.q);
        right = subtract_if_not_below(shoup_lazy(difference, inverse_degree_root, c.q), c.q);
      }
    }
    store_all(values + i, stride, x);
  }
}

// Calls pass.operator()<stages>().
template <typename Leaf, typename Pass>
inline void with_constant_stages(size_t stages, const Pass& pass) {
  if constexpr (Leaf::kPassVectors >= 16)
    if (stages == 4) return pass.template operator()<4>();
  if (stages == 2)
    pass.template operator()<2>();
  else
    pass.template operator()<1>();
}

template <typename Leaf>
void forward_block(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                   const TransformConstants& c) {
  if (length == Leaf::kLength) return Leaf::forward(values, node, ntt, c);
  const size_t stages = Leaf::stages_of_pass(length);
  with_constant_stages<Leaf>(stages, [&]<size_t constant_stages>() {
    forward_pass<constant_stages, (Leaf::kPassVectors >> constant_stages)>(values, length, node,
                                                                           ntt, c);
  });
  const size_t part = length >> stages;
  for (size_t i = 0; i < size_t{1} << stages; ++i)
    forward_block<Leaf>(values + i * part, part, (node << stages) + i, ntt, c);
}

template <typename Leaf>
void inverse_block(uint32_t* values, size_t length, size_t node, const NttConstants& ntt,
                   const TransformConstants& c) {
  if (length == Leaf::kLength) return Leaf::inverse(values, node, ntt, c);
  const size_t stages = Leaf::stages_of_pass(length);
  const size_t part = length >> stages;
  for (size_t i = 0; i < size_t{1} << stages; ++i)
    inverse_block<Leaf>(values + i * part, part, (node << stages) + i, ntt, c);
  with_constant_stages<Leaf>(stages, [&]<size_t constant_stages>() {
    if (node == 1)
      last_inverse_pass<constant_stages, (Leaf::kPassVectors >> constant_stages)>(values, ntt, c);
    else
      inverse_pass<constant_stages, (Leaf::kPassVectors >> constant_stages)>(values, length, node,
                                                                             ntt, c);
  });
}

template <typename Leaf>
void forward_transform(uint32_t* values, const NttConstants& ntt) {
  forward_block<Leaf>(values, size_t{1} << ntt.log_degree, 1, ntt, TransformConstants(ntt.modulus));
}

template <typename Leaf>
void inverse_transform(uint32_t* values, const NttConstants& ntt) {
  inverse_block<Leaf>(values, size_t{1} << ntt.log_degree, 1, ntt, TransformConstants(ntt.modulus));
}

// Stages that halve a block of `length` values down to `target`.
inline size_t stages_between(size_t length, size_t target) {
  size_t stages = 0;
  for (; length > target; length /= 2) ++stages;
  return stages;
}

}  // namespace
}  // namespace bauta::simd
