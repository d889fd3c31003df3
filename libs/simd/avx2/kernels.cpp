// AVX2: the kernels of simd/vector/, and those that move words.
#include "simd/avx2/leaf.h"
#include "simd/avx2/vector.h"
#include "simd/isa_tables.h"
#include "simd/vector/word_kernels.h"

namespace bauta::simd {
namespace {

// A pattern maps an aligned half of a block onto an aligned half.
void permute(uint32_t* out, const uint32_t* in, const PermutationConstants& permutation) {
  for (size_t t = 0; t < permutation.block_count; ++t) {
    const uint32_t block = permutation.blocks[t];
    const uint32_t* source = in + (block & ~15u);
    for (size_t half = 0; half < 16; half += 8) {
      const uint32_t* pattern = permutation.patterns + 16 * (block & 15u) + half;
      store(out + 16 * t + half,
            _mm256_permutevar8x32_epi32(load(source + (pattern[0] & 8u)), load(pattern)));
    }
  }
}

}  // namespace

const Kernels& avx2_kernels() {
  static const Kernels table{
      .isa = Isa::avx2,
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
      // AVX2 has no compression of vectors; beside the keystream the plain loop costs little.
      .accept_below = scalar_kernels().accept_below,
  };
  return table;
}

}  // namespace bauta::simd
