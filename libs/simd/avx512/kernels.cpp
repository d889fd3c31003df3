// AVX-512: the kernels of simd/vector/, and those that move words.
#include "simd/avx512/leaf.h"
#include "simd/avx512/vector.h"
#include "simd/isa_tables.h"
#include "simd/vector/word_kernels.h"

namespace bauta::simd {
namespace {

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
      .ntt_forward = forward_transform<Leaf>,
      .ntt_inverse = inverse_transform<Leaf>,
      .add = add_words,
      .subtract = subtract_words,
      .negate = negate_words,
      .multiply = multiply_words,
      .multiply_add = multiply_add_words,
      .multiply_constant = multiply_constant_words,
      .subtract_multiply_constant = subtract_multiply_constant_words,
      .inner_product = inner_product_words,
      .inner_product_pair = inner_product_pair_words,
      .tensor_tile = tensor_tile_words,
      .plain_tile = plain_tile_words,
      .weighted_sum = weighted_sum_words,
      .weighted_sums = weighted_sums_words,
      .rounded_quotient = rounded_quotient_words,
      .add_signed = add_signed_words,
      .lift_centred = lift_centred_words,
      .permute = permute,
      .accept_below = accept_below,
  };
  return table;
}

}  // namespace bauta::simd
