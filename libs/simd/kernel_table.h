// The arithmetic kernels of the project on 32-bit words, once per instruction set, behind one table
// of function pointers that is chosen at run time.
//
// Contract common to all kernels
// - A modulus q is an odd prime below 2^30. Residues are "reduced" when in [0, q); every kernel
//   takes reduced inputs unless it says otherwise and writes reduced outputs. Results are therefore
//   unique, and all instruction sets agree bit for bit.
// - `count` is the number of words of a vector and a multiple of 16. Vectors need no alignment, but
//   64-byte aligned ones are fastest.
// - `out` may be the same vector as an input (never a part of it), except in `permute` and
//   `accept_below`.
// - Time depends on sizes only, never on values, except in `accept_below`, whose input is public.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bauta::simd {

enum class Isa { scalar, avx2, avx512 };

// A modulus with what Barrett reduction needs. Let b be the bit width of q. A sum x < q * 2^32 is
// reduced by the quotient estimate ((x >> b) * ratio) >> 31, which is at most 3 too small, so that
// x - estimate * q lies in [0, 4q) and fits a word.
struct ModulusConstants {
  uint32_t value = 0;       // q
  uint32_t bits = 0;        // b: 2^(b-1) < q < 2^b
  uint32_t ratio = 0;       // floor(2^(b+31) / q), in [2^31, 2^32)
  uint32_t word_ratio = 0;  // floor(2^32 / q), reduces single words
};

// A constant factor w < q with its Shoup quotient floor(w * 2^32 / q): for any word x,
// x*w - ((x * quotient) >> 32) * q lies in [0, 2q).
struct ShoupFactor {
  uint32_t value = 0;
  uint32_t quotient = 0;
};

// The roots of one (N, q); ring/ntt.h makes them. psi is a primitive 2N-th root of unity and
// brv reverses the bits of an index below N.
//
// The first log2(N) - 4 stages of the transform take roots[m + i] = psi^brv(m + i), m a power of
// two up to N/32, i < m. The last four stages work on blocks of 256 values seen as 16 rows of 16;
// block b has in leaf_roots 15 pairs of 16-word vectors (values, then quotients), in the order of
// leaf_slot; word j of a pair belongs to row j of the block.
struct NttConstants {
  ModulusConstants modulus;
  uint32_t log_degree = 0;                       // log2(N), 10 to 16
  const ShoupFactor* roots = nullptr;            // N/16 entries, entry 0 unused
  const uint32_t* leaf_roots = nullptr;          // N/256 * kLeafWords words
  const ShoupFactor* inverse_roots = nullptr;    // of psi^-1, laid out like roots
  const uint32_t* inverse_leaf_roots = nullptr;  // of psi^-1, laid out like leaf_roots
  ShoupFactor inverse_degree;                    // N^-1
  ShoupFactor inverse_degree_root;               // N^-1 * inverse_roots[1]
};

inline constexpr size_t kLeafWords = 15 * 2 * 16;

// Which of the 15 pairs of a leaf block holds the roots of stage (0 to 3, distances 8, 4, 2, 1)
// and group (0 to 2^stage - 1): psi^brv(2^stage * (N/16 + 16 b + j) + group) for row j.
static constexpr size_t leaf_slot(size_t stage, size_t group) {
  return (size_t{1} << stage) - 1 + group;
}

// A permutation that moves aligned blocks of 16 words to aligned blocks of 16 words and, inside a
// block, follows one of 16 patterns: output word 16 t + j is input word
// 16 * (blocks[t] >> 4) + patterns[16 * (blocks[t] & 15) + j]. A pattern maps each aligned half of
// a block onto an aligned half. Every automorphism of the ring is of this kind in evaluation order.
struct PermutationConstants {
  size_t block_count = 0;
  const uint32_t* blocks = nullptr;
  const uint32_t* patterns = nullptr;  // 256 words, each below 16
};

inline constexpr size_t kTileWords = 16;

struct Kernels {
  Isa isa;

  // Negacyclic number-theoretic transform in place: N coefficients, words below 4q, become the N
  // values p(psi^(2 brv(i) + 1)), reduced.
  void (*ntt_forward)(uint32_t* values, const NttConstants& ntt);
  // Its inverse; inputs below 2q, outputs reduced and already divided by N.
  void (*ntt_inverse)(uint32_t* values, const NttConstants& ntt);

  void (*add)(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
              const ModulusConstants& modulus);
  void (*subtract)(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                   const ModulusConstants& modulus);
  void (*negate)(uint32_t* out, const uint32_t* a, size_t count, const ModulusConstants& modulus);
  // out = a * b
  void (*multiply)(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                   const ModulusConstants& modulus);
  // out = out + a * b
  void (*multiply_add)(uint32_t* out, const uint32_t* a, const uint32_t* b, size_t count,
                       const ModulusConstants& modulus);
  // out = a * factor; words of a may be any 32-bit value
  void (*multiply_constant)(uint32_t* out, const uint32_t* a, ShoupFactor factor, size_t count,
                            const ModulusConstants& modulus);
  // out = (a - b) * factor: the step that ends every division by a dropped modulus
  void (*subtract_multiply_constant)(uint32_t* out, const uint32_t* a, const uint32_t* b,
                                     ShoupFactor factor, size_t count,
                                     const ModulusConstants& modulus);

  // out = sum over t < terms of a[t] * b[t]; terms >= 1. Words of a may be any below 2^30. out must
  // not be one of the inputs.
  void (*inner_product)(uint32_t* out, const uint32_t* const* a, const uint32_t* const* b,
                        size_t terms, size_t count, const ModulusConstants& modulus);
  // Two inner products that share a: out0 = sum a[t] * b0[t], out1 = sum a[t] * b1[t]. The inner
  // loop of key switching.
  void (*inner_product_pair)(uint32_t* out0, uint32_t* out1, const uint32_t* const* a,
                             const uint32_t* const* b0, const uint32_t* const* b1, size_t terms,
                             size_t count, const ModulusConstants& modulus);
  // The inner loop of matching: for `terms` ciphertexts (c0, c1) of a probe and (k0, k1) of a
  // block, the sums of c0*k0, c0*k1 + c1*k0 and c1*k1 over kTileWords places. A tile is terms times
  // 2 times kTileWords words, c0 before c1, reduced; out is 3 * kTileWords words. terms >= 1.
  // `next` is the tile of a block that will be read next: its beginning is fetched into the cache
  // meanwhile, as is the rest of this one ahead of use; the processor's own guesses end at pages.
  void (*tensor_tile)(uint32_t* out, const uint32_t* probe, const uint32_t* block,
                      const uint32_t* next, size_t terms, const ModulusConstants& modulus);
  // The same for a probe in the clear: the sums of p*k0 and p*k1. The probe's tile is terms times
  // kTileWords words; out is 2 * kTileWords words.
  void (*plain_tile)(uint32_t* out, const uint32_t* probe, const uint32_t* block,
                     const uint32_t* next, size_t terms, const ModulusConstants& modulus);
  // out = sum over t < terms of a[t] * weights[t], weights reduced, words of a below 2^30; terms >=
  // 1. The inner loop of base conversion.
  void (*weighted_sum)(uint32_t* out, const uint32_t* const* a, const uint32_t* weights,
                       size_t terms, size_t count, const ModulusConstants& modulus);
  // A matrix of residues times vectors: out[k] = sum over t < terms of a[t] * weights[k * terms +
  // t] for every k < outputs, weights reduced, words of a below 2^30; terms >= 1. No out may be one
  // of the inputs. The inner loop of linear maps whose weights repeat over the slots.
  void (*weighted_sums)(uint32_t* const* out, const uint32_t* const* a, const uint32_t* weights,
                        size_t outputs, size_t terms, size_t count,
                        const ModulusConstants& modulus);
  // out = round(sum over t < terms of a[t] / moduli[t]) with a[t] reduced modulo moduli[t] and
  // terms at most 64; computed as (2^31 + sum of (a[t] * ratio_t) >> (b_t - 1)) >> 32, which errs
  // only where the sum is within terms * 2^-30 of a half.
  void (*rounded_quotient)(uint32_t* out, const uint32_t* const* a,
                           const ModulusConstants* const* moduli, size_t terms, size_t count);
  // out = out + values, the values being any 64-bit integers. Where encoded messages enter.
  void (*add_signed)(uint32_t* out, const int64_t* values, size_t count,
                     const ModulusConstants& modulus);
  // out = the representative of a in (-p/2, p/2), reduced modulo q; a is reduced modulo p (`from`).
  void (*lift_centred)(uint32_t* out, const uint32_t* a, const ModulusConstants& from, size_t count,
                       const ModulusConstants& modulus);

  // See PermutationConstants. out and in do not overlap.
  void (*permute)(uint32_t* out, const uint32_t* in, const PermutationConstants& permutation);

  // Keeps, in order, the masked words (words[i] & (2^b - 1)) that are below q, and returns how
  // many. out has room for `count` words, all of which may be written. Time depends on the words.
  size_t (*accept_below)(uint32_t* out, const uint32_t* words, size_t count,
                         const ModulusConstants& modulus);
};

}  // namespace bauta::simd
