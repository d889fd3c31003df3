// All kernels but the transform, with sixteen words a vector.
#include "simd/avx512/arithmetic.h"
#include "simd/avx512/ntt.h"
#include "simd/isa_tables.h"

namespace bauta::simd {
namespace {

void add(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
         const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += 16)
    store(out + i, subtract_if_not_below(_mm512_add_epi32(load(a + i), load(b + i)), q));
}

void subtract(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
              const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += 16) {
    const Vector difference = _mm512_sub_epi32(load(a + i), load(b + i));
    store(out + i, _mm512_min_epu32(difference, _mm512_add_epi32(difference, q)));
  }
}

void negate(uint32_t* out, const uint32_t* a, size_t count, const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  for (size_t i = 0; i < count; i += 16)
    store(out + i, subtract_if_not_below(_mm512_sub_epi32(q, load(a + i)), q));
}

void multiply(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
              const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += 16)
    store(out + i, reduction.reduce(multiply_wide(load(a + i), load(b + i))));
}

void multiply_add(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                  const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += 16) {
    const Vector product = reduction.reduce(multiply_wide(load(a + i), load(b + i)));
    store(out + i, subtract_if_not_below(_mm512_add_epi32(load(out + i), product), reduction.q()));
  }
}

void multiply_constant(uint32_t* out, const uint32_t* a, ShoupFactor factor, size_t count,
                       const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  const Factor factors = broadcast(factor);
  for (size_t i = 0; i < count; i += 16)
    store(out + i, subtract_if_not_below(shoup_lazy(load(a + i), factors, q), q));
}

void subtract_multiply_constant(uint32_t* out, const uint32_t* a, const uint32_t* b,
                                ShoupFactor factor, size_t count, const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  const Factor factors = broadcast(factor);
  for (size_t i = 0; i < count; i += 16) {
    const Vector difference = _mm512_sub_epi32(_mm512_add_epi32(load(a + i), q), load(b + i));
    store(out + i, subtract_if_not_below(shoup_lazy(difference, factors, q), q));
  }
}

// Adds product(t) for every t < terms; with sum < 2q * 2^32, eight products of a word below 2^30
// and a residue keep it below 4q * 2^32 <= 2^64.
template <typename Product>
inline Vector lazy_sum(size_t terms, const Reduction& reduction, Product product) {
  Wide sum{_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (size_t t = 0; t < terms;) {
    const size_t end = t + 8 < terms ? t + 8 : terms;
    for (; t < end; ++t) sum = add_wide(sum, product(t));
    if (end < terms) sum = reduction.fold(sum);
  }
  return reduction.reduce_sum(sum);
}

void inner_product(uint32_t* out, const uint32_t* const* a, const uint32_t* const* b, size_t terms,
                   size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += 16)
    store(out + i, lazy_sum(terms, reduction, [&](size_t t) {
            return multiply_wide(load(a[t] + i), load(b[t] + i));
          }));
}

void inner_product_pair(uint32_t* out0, uint32_t* out1, const uint32_t* const* a,
                        const uint32_t* const* b0, const uint32_t* const* b1, size_t terms,
                        size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  const Vector zero = _mm512_setzero_si512();
  for (size_t i = 0; i < count; i += 16) {
    Wide sum0{zero, zero}, sum1{zero, zero};
    for (size_t t = 0; t < terms;) {
      const size_t end = t + 8 < terms ? t + 8 : terms;
      for (; t < end; ++t) {
        const Vector shared = load(a[t] + i);
        sum0 = add_wide(sum0, multiply_wide(shared, load(b0[t] + i)));
        sum1 = add_wide(sum1, multiply_wide(shared, load(b1[t] + i)));
      }
      if (end < terms) {
        sum0 = reduction.fold(sum0);
        sum1 = reduction.fold(sum1);
      }
    }
    store(out0 + i, reduction.reduce_sum(sum0));
    store(out1 + i, reduction.reduce_sum(sum1));
  }
}

void weighted_sum(uint32_t* out, const uint32_t* const* a, const uint32_t* weights, size_t terms,
                  size_t count, const ModulusConstants& modulus) {
  const Reduction reduction(modulus);
  for (size_t i = 0; i < count; i += 16)
    store(
        out + i, lazy_sum(terms, reduction, [&](size_t t) {
          const Vector words = load(a[t] + i);
          const Vector weight = broadcast(weights[t]);
          return Wide{_mm512_mul_epu32(words, weight), _mm512_mul_epu32(odd_words(words), weight)};
        }));
}

void rounded_quotient(uint32_t* out, const uint32_t* const* a,
                      const ModulusConstants* const* moduli, size_t terms, size_t count) {
  const Vector half = _mm512_set1_epi64(int64_t{1} << 31);
  for (size_t i = 0; i < count; i += 16) {
    Wide sum{half, half};
    for (size_t t = 0; t < terms; ++t) {
      const Vector words = load(a[t] + i);
      const Vector ratio = broadcast(moduli[t]->ratio);
      const Vector shift = _mm512_set1_epi64(moduli[t]->bits - 1);
      sum = add_wide(sum, {_mm512_srlv_epi64(_mm512_mul_epu32(words, ratio), shift),
                           _mm512_srlv_epi64(_mm512_mul_epu32(odd_words(words), ratio), shift)});
    }
    store(out + i, high_words(sum.even, sum.odd));
  }
}

void lift_centred(uint32_t* out, const uint32_t* a, const ModulusConstants& from, size_t count,
                  const ModulusConstants& modulus) {
  const Vector p = broadcast(from.value);
  const Vector q = broadcast(modulus.value);
  const Vector half = broadcast(from.value / 2);
  const Vector negative_half = broadcast(modulus.value - from.value / 2 % modulus.value);
  const Factor one = broadcast(ShoupFactor{1, modulus.word_ratio});
  for (size_t i = 0; i < count; i += 16) {
    const Vector shifted = subtract_if_not_below(_mm512_add_epi32(load(a + i), half), p);
    const Vector residue = subtract_if_not_below(shoup_lazy(shifted, one, q), q);
    store(out + i, subtract_if_not_below(_mm512_add_epi32(residue, negative_half), q));
  }
}

void permute(uint32_t* out, const uint32_t* in, const PermutationConstants& permutation) {
  for (size_t t = 0; t < permutation.block_count; ++t) {
    const uint32_t block = permutation.blocks[t];
    const Vector pattern = load(permutation.patterns + 16 * (block & 15u));
    store(out + 16 * t, _mm512_permutexvar_epi32(pattern, load(in + (block & ~15u))));
  }
}

size_t accept_below(uint32_t* out, const uint32_t* words, size_t count,
                    const ModulusConstants& modulus) {
  const Vector q = broadcast(modulus.value);
  const Vector mask = broadcast((1u << modulus.bits) - 1);
  size_t accepted = 0;
  for (size_t i = 0; i < count; i += 16) {
    const Vector candidates = _mm512_and_si512(load(words + i), mask);
    const __mmask16 below = _mm512_cmplt_epu32_mask(candidates, q);
    // A whole vector is written: it ends within the `count` words, as accepted <= i.
    store(out + accepted, _mm512_maskz_compress_epi32(below, candidates));
    accepted += static_cast<size_t>(__builtin_popcount(below));
  }
  return accepted;
}

}  // namespace

const Kernels& avx512_kernels() {
  static constexpr Kernels table{
      .isa = Isa::avx512,
      .ntt_forward = ntt_forward_avx512,
      .ntt_inverse = ntt_inverse_avx512,
      .add = add,
      .subtract = subtract,
      .negate = negate,
      .multiply = multiply,
      .multiply_add = multiply_add,
      .multiply_constant = multiply_constant,
      .subtract_multiply_constant = subtract_multiply_constant,
      .inner_product = inner_product,
      .inner_product_pair = inner_product_pair,
      .weighted_sum = weighted_sum,
      .rounded_quotient = rounded_quotient,
      .lift_centred = lift_centred,
      .permute = permute,
      .accept_below = accept_below,
  };
  return table;
}

}  // namespace bauta::simd
