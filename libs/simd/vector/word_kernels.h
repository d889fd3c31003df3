// The kernels that work word by word. Included after the vector.h of an instruction set, by its
// kernels.cpp alone; everything is in an anonymous namespace. Contracts: simd/kernel_table.h.
#pragma once

#include "simd/vector/reduction.h"

namespace bauta::simd {
namespace {

void add_words(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
               const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += kVectorWords)
    store(out + i, subtract_if_not_below(add(load(a + i), load(b + i)), q));
}

void subtract_words(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                    const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += kVectorWords) {
    const Vector difference = subtract(load(a + i), load(b + i));
    store(out + i, minimum(difference, add(difference, q)));
  }
}

void negate_words(uint32_t* out, const uint32_t* a, size_t count, const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += kVectorWords)
    store(out + i, subtract_if_not_below(subtract(q, load(a + i)), q));
}

void multiply_words(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                    const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += kVectorWords)
    store(out + i, reduction.reduce(multiply_wide(load(a + i), load(b + i))));
}

void multiply_add_words(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                        const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += kVectorWords) {
    const Vector product = reduction.reduce(multiply_wide(load(a + i), load(b + i)));
    store(out + i, subtract_if_not_below(add(load(out + i), product), reduction.q()));
  }
}

void multiply_constant_words(uint32_t* out, const uint32_t* a, ShoupFactor factor, size_t count,
                             const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  const Factor factors = broadcast(factor);
  for (size_t i = 0; i < count; i += kVectorWords)
    store(out + i, subtract_if_not_below(shoup_lazy(load(a + i), factors, q), q));
}

void subtract_multiply_constant_words(uint32_t* out, const uint32_t* a, const uint32_t* b,
                                      ShoupFactor factor, size_t count,
                                      const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  const Factor factors = broadcast(factor);
  for (size_t i = 0; i < count; i += kVectorWords) {
    const Vector difference = subtract(add(load(a + i), q), load(b + i));
    store(out + i, subtract_if_not_below(shoup_lazy(difference, factors, q), q));
  }
}

// The sums at word i and `width` vectors on.
template <size_t width>
inline void inner_product_at(size_t i, uint32_t* out, const uint32_t* const* a,
                             const uint32_t* const* b, size_t terms, const Reduction& reduction) {
  Wide sums[width];
  lazy_sums(sums, terms, reduction, [&](size_t t) {
#pragma GCC unroll 2
    for (size_t k = 0; k < width; ++k) {
      const size_t j = i + kVectorWords * k;
      sums[k] = add_wide(sums[k], multiply_wide(load(a[t] + j), load(b[t] + j)));
    }
  });
#pragma GCC unroll 2
  for (size_t k = 0; k < width; ++k)
    store(out + i + kVectorWords * k, reduction.reduce_sum(sums[k], terms));
}

void inner_product_words(uint32_t* out, const uint32_t* const* a, const uint32_t* const* b,
                         size_t terms, size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  size_t i = 0;
  for (; i + 2 * kVectorWords <= count; i += 2 * kVectorWords)
    inner_product_at<2>(i, out, a, b, terms, reduction);
  if (i < count) inner_product_at<1>(i, out, a, b, terms, reduction);
}

template <size_t width>
inline void inner_product_pair_at(size_t i, uint32_t* out0, uint32_t* out1,
                                  const uint32_t* const* a, const uint32_t* const* b0,
                                  const uint32_t* const* b1, size_t terms,
                                  const Reduction& reduction) {
  Wide sums[2 * width];
  lazy_sums(sums, terms, reduction, [&](size_t t) {
#pragma GCC unroll 2
    for (size_t k = 0; k < width; ++k) {
      const size_t j = i + kVectorWords * k;
      const Vector shared = load(a[t] + j);
      sums[2 * k] = add_wide(sums[2 * k], multiply_wide(shared, load(b0[t] + j)));
      sums[2 * k + 1] = add_wide(sums[2 * k + 1], multiply_wide(shared, load(b1[t] + j)));
    }
  });
#pragma GCC unroll 2
  for (size_t k = 0; k < width; ++k) {
    store(out0 + i + kVectorWords * k, reduction.reduce_sum(sums[2 * k], terms));
    store(out1 + i + kVectorWords * k, reduction.reduce_sum(sums[2 * k + 1], terms));
  }
}

void inner_product_pair_words(uint32_t* out0, uint32_t* out1, const uint32_t* const* a,
                              const uint32_t* const* b0, const uint32_t* const* b1, size_t terms,
                              size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  size_t i = 0;
  for (; i + 2 * kVectorWords <= count; i += 2 * kVectorWords)
    inner_product_pair_at<2>(i, out0, out1, a, b0, b1, terms, reduction);
  if (i < count) inner_product_pair_at<1>(i, out0, out1, a, b0, b1, terms, reduction);
}

// Fetches the tile `block` of a scan, and then the tile `next`, ahead of use. Eight KiB are what
// the memory needs to answer, at the speed at which a core multiplies.
class TilePrefetch {
 public:
  TilePrefetch(const uint32_t* block, const uint32_t* next, size_t terms)
      : block_(block), next_(next), terms_(terms), ahead_(terms < kAhead ? terms : kAhead) {}

  // With the use of term t.
  void fetch(size_t t) const {
    t += ahead_;
    const uint32_t* line =
        2 * kTileWords * (t < terms_ ? t : t - terms_) + (t < terms_ ? block_ : next_);
    __builtin_prefetch(line);
    __builtin_prefetch(line + kTileWords);
  }

 private:
  static constexpr size_t kAhead = 64;
  const uint32_t *block_, *next_;
  size_t terms_, ahead_;
};

void tensor_tile_words(uint32_t* out, const uint32_t* probe, const uint32_t* block,
                       const uint32_t* next, size_t terms, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  const TilePrefetch prefetch(block, next, terms);
  for (size_t i = 0; i < kTileWords; i += kVectorWords) {
    // c0*k0, c0*k1, c1*k0, c1*k1: the middle two are kept apart, so that each takes one product a
    // term.
    Wide sums[4];
    lazy_sums(sums, terms, reduction, [&](size_t t) {
      const size_t place = 2 * kTileWords * t + i;
      if (i == 0) prefetch.fetch(t);
      const Vector c0 = load(probe + place), c1 = load(probe + place + kTileWords);
      const Vector k0 = load(block + place), k1 = load(block + place + kTileWords);
      sums[0] = add_wide(sums[0], multiply_wide(c0, k0));
      sums[1] = add_wide(sums[1], multiply_wide(c0, k1));
      sums[2] = add_wide(sums[2], multiply_wide(c1, k0));
      sums[3] = add_wide(sums[3], multiply_wide(c1, k1));
    });
    const Vector middle =
        add(reduction.reduce_sum(sums[1], terms), reduction.reduce_sum(sums[2], terms));
    store(out + i, reduction.reduce_sum(sums[0], terms));
    store(out + kTileWords + i, subtract_if_not_below(middle, reduction.q()));
    store(out + 2 * kTileWords + i, reduction.reduce_sum(sums[3], terms));
  }
}

void plain_tile_words(uint32_t* out, const uint32_t* probe, const uint32_t* block,
                      const uint32_t* next, size_t terms, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  const TilePrefetch prefetch(block, next, terms);
  for (size_t i = 0; i < kTileWords; i += kVectorWords) {
    Wide sums[2];
    lazy_sums(sums, terms, reduction, [&](size_t t) {
      if (i == 0) prefetch.fetch(t);
      const Vector p = load(probe + kTileWords * t + i);
      const uint32_t* k = block + 2 * kTileWords * t + i;
      sums[0] = add_wide(sums[0], multiply_wide(p, load(k)));
      sums[1] = add_wide(sums[1], multiply_wide(p, load(k + kTileWords)));
    });
    store(out + i, reduction.reduce_sum(sums[0], terms));
    store(out + kTileWords + i, reduction.reduce_sum(sums[1], terms));
  }
}

template <size_t width>
inline void weighted_sum_at(size_t i, uint32_t* out, const uint32_t* const* a,
                            const uint32_t* weights, size_t terms, const Reduction& reduction) {
  Wide sums[width];
  lazy_sums(sums, terms, reduction, [&](size_t t) {
    const Vector weight = broadcast(weights[t]);
#pragma GCC unroll 2
    for (size_t k = 0; k < width; ++k) {
      const Vector words = load(a[t] + i + kVectorWords * k);
      sums[k] = add_wide(sums[k],
                         {multiply_even(words, weight), multiply_even(odd_words(words), weight)});
    }
  });
#pragma GCC unroll 2
  for (size_t k = 0; k < width; ++k)
    store(out + i + kVectorWords * k, reduction.reduce_sum(sums[k], terms));
}

void weighted_sum_words(uint32_t* out, const uint32_t* const* a, const uint32_t* weights,
                        size_t terms, size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  size_t i = 0;
  for (; i + 2 * kVectorWords <= count; i += 2 * kVectorWords)
    weighted_sum_at<2>(i, out, a, weights, terms, reduction);
  if (i < count) weighted_sum_at<1>(i, out, a, weights, terms, reduction);
}

// Words i and on of `block` outputs, which share what is loaded of the inputs.
template <size_t block>
inline void weighted_sums_at(size_t i, uint32_t* const* out, const uint32_t* const* a,
                             const uint32_t* weights, size_t terms, const Reduction& reduction) {
  Wide sums[block];
  lazy_sums(sums, terms, reduction, [&](size_t t) {
    const Vector words = load(a[t] + i);
    const Vector odd = odd_words(words);
#pragma GCC unroll 8
    for (size_t k = 0; k < block; ++k) {
      const Vector weight = broadcast(weights[k * terms + t]);
      sums[k] = add_wide(sums[k], {multiply_even(words, weight), multiply_even(odd, weight)});
    }
  });
#pragma GCC unroll 8
  for (size_t k = 0; k < block; ++k) store(out[k] + i, reduction.reduce_sum(sums[k], terms));
}

void weighted_sums_words(uint32_t* const* out, const uint32_t* const* a, const uint32_t* weights,
                         size_t outputs, size_t terms, size_t count,
                         const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  // Two accumulators an output, and room in the registers for the inputs and the reduction.
  constexpr size_t kBlock = kVectorRegisters / 4;
  size_t k = 0;
  for (; k + kBlock <= outputs; k += kBlock)
    for (size_t i = 0; i < count; i += kVectorWords)
      weighted_sums_at<kBlock>(i, out + k, a, weights + k * terms, terms, reduction);
  for (; k < outputs; ++k)
    for (size_t i = 0; i < count; i += kVectorWords)
      weighted_sums_at<1>(i, out + k, a, weights + k * terms, terms, reduction);
}

void rounded_quotient_words(uint32_t* out, const uint32_t* const* a,
                            const ModulusConstants* const* moduli, size_t terms, size_t count) {
  const Vector half = broadcast_wide(uint64_t{1} << 31);
  for (size_t i = 0; i < count; i += kVectorWords) {
    Wide sum{half, half};
    for (size_t t = 0; t < terms; ++t) {
      const Vector words = load(a[t] + i);
      const Vector ratio = broadcast(moduli[t]->ratio);
      const Vector shift = broadcast_wide(moduli[t]->bits - 1);
      sum = add_wide(sum, {shift_right_wide(multiply_even(words, ratio), shift),
                           shift_right_wide(multiply_even(odd_words(words), ratio), shift)});
    }
    store(out + i, high_words(sum.even, sum.odd));
  }
}

void add_signed_words(uint32_t* out, const int64_t* values, size_t count,
                      const ModulusConstants& modulus) {
  // The values are offset by 2^63 to be non-negative, which is taken away again as a residue.
  const Reduction reduction(modulus);
  const Vector offset = broadcast_wide(uint64_t{1} << 63);
  const Vector offset_residue = reduction.reduce_any({offset, offset});
  const uint32_t* words = reinterpret_cast<const uint32_t*>(values);
  for (size_t i = 0; i < count; i += kVectorWords) {
    const Wide wide{exclusive_or(load(words + 2 * i), offset),
                    exclusive_or(load(words + 2 * i + kVectorWords), offset)};
    const Vector residue = in_order(reduction.reduce_any(wide));
    const Vector difference = subtract(residue, offset_residue);
    const Vector value = minimum(difference, add(difference, reduction.q()));
    store(out + i, subtract_if_not_below(add(load(out + i), value), reduction.q()));
  }
}

void lift_centred_words(uint32_t* out, const uint32_t* a, const ModulusConstants& from,
                        size_t count, const ModulusConstants& modulus) {
  const Vector p = broadcast(from.value);
  const Vector q = broadcast(modulus.value);
  const Vector half = broadcast(from.value / 2);
  const Vector negative_half = broadcast(modulus.value - from.value / 2 % modulus.value);
  const Factor one = broadcast(ShoupFactor{1, modulus.word_ratio});
  for (size_t i = 0; i < count; i += kVectorWords) {
    const Vector shifted = subtract_if_not_below(add(load(a + i), half), p);
    const Vector residue = subtract_if_not_below(shoup_lazy(shifted, one, q), q);
    store(out + i, subtract_if_not_below(add(residue, negative_half), q));
  }
}

}  // namespace
}  // namespace bauta::simd
