// The reference: plain C++, no intrinsics. Every other instruction set must give these results.
//
// Constant time: no branch and no index depends on a residue; conditional subtractions are masks.
#include "simd/isa_tables.h"
#include "simd/scalar/arithmetic.h"

namespace bauta::simd {
namespace {

using scalar::barrett;
using scalar::reduce_from_4q;
using scalar::reduce_wide;
using scalar::shoup_lazy;
using scalar::subtract_if_not_below;

// Lazy sums: while an accumulator is below 2q * 2^32, eight products of a word below 2^30 and a
// residue keep it below 4q * 2^32 <= 2^64.
constexpr size_t kProductsPerFold = 8;

// Conditionally subtracts bound * 2^32.
uint64_t fold(uint64_t sum, uint32_t bound) {
  const uint32_t high = subtract_if_not_below(static_cast<uint32_t>(sum >> 32), bound);
  return (uint64_t{high} << 32) | static_cast<uint32_t>(sum);
}

// product(t) gives the t-th product of the sum.
template <typename Product>
uint32_t lazy_sum(size_t terms, const ModulusConstants& modulus, Product product) {
  uint64_t sum = 0;
  for (size_t t = 0; t < terms; ++t) {
    sum += product(t);
    if (t % kProductsPerFold == kProductsPerFold - 1) sum = fold(sum, 2 * modulus.value);
  }
  return barrett(fold(fold(sum, 2 * modulus.value), modulus.value), modulus);
}

// Cooley-Tukey: (x, y) to (x + w y, x - w y), words below 4q in and out.
void forward_butterfly(uint32_t& x, uint32_t& y, ShoupFactor root, uint32_t q) {
  const uint32_t reduced = subtract_if_not_below(x, 2 * q);
  const uint32_t product = shoup_lazy(y, root, q);
  x = reduced + product;
  y = reduced + 2 * q - product;
}

// Gentleman-Sande: (x, y) to (x + y, (x - y) w), words below 2q in and out.
void inverse_butterfly(uint32_t& x, uint32_t& y, ShoupFactor root, uint32_t q) {
  const uint32_t difference = x + 2 * q - y;
  x = subtract_if_not_below(x + y, 2 * q);
  y = shoup_lazy(difference, root, q);
}

ShoupFactor leaf_root(const uint32_t* leaf_roots, size_t row, size_t stage, size_t group) {
  const uint32_t* pair = leaf_roots + row / 16 * kLeafWords + 32 * leaf_slot(stage, group);
  return {pair[row % 16], pair[16 + row % 16]};
}

void ntt_forward(uint32_t* values, const NttConstants& ntt) {
  const uint32_t q = ntt.modulus.value;
  const size_t degree = size_t{1} << ntt.log_degree;
  for (size_t groups = 1; groups <= degree / 32; groups *= 2) {
    const size_t distance = degree / (2 * groups);
    for (size_t group = 0; group < groups; ++group) {
      uint32_t* x = values + 2 * distance * group;
      for (size_t i = 0; i < distance; ++i)
        forward_butterfly(x[i], x[i + distance], ntt.roots[groups + group], q);
    }
  }
  for (size_t row = 0; row < degree / 16; ++row) {
    uint32_t* x = values + 16 * row;
    for (size_t stage = 0; stage < 4; ++stage) {
      const size_t distance = size_t{8} >> stage;
      for (size_t i = 0; i < 16; ++i)
        if ((i & distance) == 0)
          forward_butterfly(x[i], x[i + distance],
                            leaf_root(ntt.leaf_roots, row, stage, i / (2 * distance)), q);
    }
  }
  for (size_t i = 0; i < degree; ++i) values[i] = reduce_from_4q(values[i], q);
}

void ntt_inverse(uint32_t* values, const NttConstants& ntt) {
  const uint32_t q = ntt.modulus.value;
  const size_t degree = size_t{1} << ntt.log_degree;
  for (size_t row = 0; row < degree / 16; ++row) {
    uint32_t* x = values + 16 * row;
    for (size_t stage = 4; stage-- > 0;) {
      const size_t distance = size_t{8} >> stage;
      for (size_t i = 0; i < 16; ++i)
        if ((i & distance) == 0)
          inverse_butterfly(x[i], x[i + distance],
                            leaf_root(ntt.inverse_leaf_roots, row, stage, i / (2 * distance)), q);
    }
  }
  for (size_t groups = degree / 32; groups >= 2; groups /= 2) {
    const size_t distance = degree / (2 * groups);
    for (size_t group = 0; group < groups; ++group) {
      uint32_t* x = values + 2 * distance * group;
      for (size_t i = 0; i < distance; ++i)
        inverse_butterfly(x[i], x[i + distance], ntt.inverse_roots[groups + group], q);
    }
  }
  // The last stage takes the division by N along.
  for (size_t i = 0; i < degree / 2; ++i) {
    uint32_t& x = values[i];
    uint32_t& y = values[i + degree / 2];
    const uint32_t sum = x + y;
    const uint32_t difference = x + 2 * q - y;
    x = subtract_if_not_below(shoup_lazy(sum, ntt.inverse_degree, q), q);
    y = subtract_if_not_below(shoup_lazy(difference, ntt.inverse_degree_root, q), q);
  }
}

void add(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
         const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i) out[i] = subtract_if_not_below(a[i] + b[i], modulus.value);
}

void subtract(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
              const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i)
    out[i] = subtract_if_not_below(a[i] + modulus.value - b[i], modulus.value);
}

void negate(uint32_t* out, const uint32_t* a, size_t count, const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i)
    out[i] = subtract_if_not_below(modulus.value - a[i], modulus.value);
}

void multiply(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
              const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i) out[i] = barrett(uint64_t{a[i]} * b[i], modulus);
}

void multiply_add(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                  const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i) out[i] = barrett(uint64_t{a[i]} * b[i] + out[i], modulus);
}

void multiply_constant(uint32_t* out, const uint32_t* a, ShoupFactor factor, size_t count,
                       const ModulusConstants& modulus) {
  const uint32_t q = modulus.value;
  for (size_t i = 0; i < count; ++i) out[i] = subtract_if_not_below(shoup_lazy(a[i], factor, q), q);
}

void subtract_multiply_constant(uint32_t* out, const uint32_t* a, const uint32_t* b,
                                ShoupFactor factor, size_t count, const ModulusConstants& modulus) {
  const uint32_t q = modulus.value;
  for (size_t i = 0; i < count; ++i)
    out[i] = subtract_if_not_below(shoup_lazy(a[i] + q - b[i], factor, q), q);
}

void inner_product(uint32_t* out, const uint32_t* const* a, const uint32_t* const* b, size_t terms,
                   size_t count, const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i)
    out[i] = lazy_sum(terms, modulus, [&](size_t t) { return uint64_t{a[t][i]} * b[t][i]; });
}

void inner_product_pair(uint32_t* out0, uint32_t* out1, const uint32_t* const* a,
                        const uint32_t* const* b0, const uint32_t* const* b1, size_t terms,
                        size_t count, const ModulusConstants& modulus) {
  inner_product(out0, a, b0, terms, count, modulus);
  inner_product(out1, a, b1, terms, count, modulus);
}

void tensor_tile(uint32_t* out, const uint32_t* probe, const uint32_t* block, const uint32_t*,
                 size_t terms, const ModulusConstants& modulus) {
  for (size_t i = 0; i < kTileWords; ++i) {
    const auto sum = [&](size_t probe_half, size_t block_half) {
      return lazy_sum(terms, modulus, [&](size_t t) {
        const size_t place = 2 * kTileWords * t + i;
        return uint64_t{probe[place + probe_half * kTileWords]} *
               block[place + block_half * kTileWords];
      });
    };
    out[i] = sum(0, 0);
    out[kTileWords + i] = subtract_if_not_below(sum(0, 1) + sum(1, 0), modulus.value);
    out[2 * kTileWords + i] = sum(1, 1);
  }
}

void plain_tile(uint32_t* out, const uint32_t* probe, const uint32_t* block, const uint32_t*,
                size_t terms, const ModulusConstants& modulus) {
  for (size_t i = 0; i < 2 * kTileWords; ++i)
    out[i] = lazy_sum(terms, modulus, [&](size_t t) {
      return uint64_t{probe[kTileWords * t + i % kTileWords]} * block[2 * kTileWords * t + i];
    });
}

void weighted_sum(uint32_t* out, const uint32_t* const* a, const uint32_t* weights, size_t terms,
                  size_t count, const ModulusConstants& modulus) {
  for (size_t i = 0; i < count; ++i)
    out[i] = lazy_sum(terms, modulus, [&](size_t t) { return uint64_t{a[t][i]} * weights[t]; });
}

void weighted_sums(uint32_t* const* out, const uint32_t* const* a, const uint32_t* weights,
                   size_t outputs, size_t terms, size_t count, const ModulusConstants& modulus) {
  for (size_t k = 0; k < outputs; ++k)
    weighted_sum(out[k], a, weights + k * terms, terms, count, modulus);
}

void rounded_quotient(uint32_t* out, const uint32_t* const* a,
                      const ModulusConstants* const* moduli, size_t terms, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    uint64_t sum = uint64_t{1} << 31;
    for (size_t t = 0; t < terms; ++t)
      sum += (uint64_t{a[t][i]} * moduli[t]->ratio) >> (moduli[t]->bits - 1);
    out[i] = static_cast<uint32_t>(sum >> 32);
  }
}

void add_signed(uint32_t* out, const int64_t* values, size_t count,
                const ModulusConstants& modulus) {
  // The values are offset by 2^63 to be non-negative, which is taken away again as a residue.
  constexpr uint64_t kOffset = uint64_t{1} << 63;
  const uint32_t offset = reduce_wide(kOffset, modulus);
  const uint32_t q = modulus.value;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t residue = reduce_wide(static_cast<uint64_t>(values[i]) ^ kOffset, modulus);
    out[i] = scalar::add(out[i], scalar::subtract(residue, offset, q), q);
  }
}

void lift_centred(uint32_t* out, const uint32_t* a, const ModulusConstants& from, size_t count,
                  const ModulusConstants& modulus) {
  const uint32_t p = from.value;
  const uint32_t q = modulus.value;
  const ShoupFactor one{1, modulus.word_ratio};
  const uint32_t half = p / 2;
  const uint32_t half_mod_q = half % q;
  // a + half modulo p, minus half: the shift puts the cut between the signs at zero.
  for (size_t i = 0; i < count; ++i) {
    const uint32_t shifted = subtract_if_not_below(a[i] + half, p);
    const uint32_t residue = subtract_if_not_below(shoup_lazy(shifted, one, q), q);
    out[i] = subtract_if_not_below(residue + q - half_mod_q, q);
  }
}

void permute(uint32_t* out, const uint32_t* in, const PermutationConstants& permutation) {
  for (size_t t = 0; t < permutation.block_count; ++t) {
    const uint32_t* source = in + (permutation.blocks[t] & ~15u);
    const uint32_t* pattern = permutation.patterns + 16 * (permutation.blocks[t] & 15u);
    for (size_t j = 0; j < 16; ++j) out[16 * t + j] = source[pattern[j]];
  }
}

size_t accept_below(uint32_t* out, const uint32_t* words, size_t count,
                    const ModulusConstants& modulus) {
  const uint32_t mask = (1u << modulus.bits) - 1;
  size_t accepted = 0;
  for (size_t i = 0; i < count; ++i) {
    out[accepted] = words[i] & mask;
    accepted += out[accepted] < modulus.value ? 1 : 0;
  }
  return accepted;
}

}  // namespace

const Kernels& scalar_kernels() {
  static constexpr Kernels table{
      .isa = Isa::scalar,
      .ntt_forward = ntt_forward,
      .ntt_inverse = ntt_inverse,
      .add = add,
      .subtract = subtract,
      .negate = negate,
      .multiply = multiply,
      .multiply_add = multiply_add,
      .multiply_constant = multiply_constant,
      .subtract_multiply_constant = subtract_multiply_constant,
      .inner_product = inner_product,
      .inner_product_pair = inner_product_pair,
      .tensor_tile = tensor_tile,
      .plain_tile = plain_tile,
      .weighted_sum = weighted_sum,
      .weighted_sums = weighted_sums,
      .rounded_quotient = rounded_quotient,
      .add_signed = add_signed,
      .lift_centred = lift_centred,
      .permute = permute,
      .accept_below = accept_below,
  };
  return table;
}

}  // namespace bauta::simd
