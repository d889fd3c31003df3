// Ciphertexts in the order in which a search reads them.
#pragma once

#include <memory>

#include "ckks/ciphertext.h"
#include "match/parameters.h"
#include "ring/word_storage.h"
#include "simd/kernel_table.h"

namespace bauta::match {

inline constexpr size_t kLimbs = 2;
// A slice is kTileWords neighbouring places in evaluation order.
inline constexpr size_t kSlices = kDegree / simd::kTileWords;

// Words that lie elsewhere, as in a mapped file, and what keeps them there.
struct SharedWords {
  std::span<const uint32_t> words;
  std::shared_ptr<const void> owner;
};

// A fixed number m of ciphertexts of two limbs in evaluation form, as words
//     [slice][limb][ciphertext][c0, c1][kTileWords],
// so that what one step of the scan needs of all m ciphertexts, a tile, is contiguous: 128 m bytes.
class TiledCiphertexts {
 public:
  TiledCiphertexts() = default;
  // The caller puts every ciphertext before anybody reads one.
  explicit TiledCiphertexts(size_t count);
  // Stands on words of this very layout, at an address divisible by 64. Nothing can be put into it.
  explicit TiledCiphertexts(SharedWords shared);

  size_t count() const { return count_; }
  size_t size_bytes() const { return words().size_bytes(); }
  bool shared() const { return shared_.owner != nullptr; }

  // Preconditions: index < count(), not shared; kLimbs limbs. Different indices may be put side by
  // side.
  void put(size_t index, const ring::EvaluationPolynomial& c0,
           const ring::EvaluationPolynomial& c1);

  // Ciphertext number index again. Preconditions: index < count(); kLimbs limbs.
  void get(size_t index, ring::EvaluationPolynomial& c0, ring::EvaluationPolynomial& c1) const;

  // 2 * count() * kTileWords words. Preconditions: slice < kSlices, limb < kLimbs.
  const uint32_t* tile(size_t slice, size_t limb) const {
    return words().data() + tile_begin(slice, limb);
  }
  // All of them.
  std::span<const uint32_t> words() const {
    return shared() ? shared_.words : std::span(words_.data(), words_.size());
  }

  friend bool operator==(const TiledCiphertexts& a, const TiledCiphertexts& b) {
    return std::ranges::equal(a.words(), b.words());
  }

 private:
  size_t tile_begin(size_t slice, size_t limb) const {
    return (slice * kLimbs + limb) * count_ * 2 * simd::kTileWords;
  }

  size_t count_ = 0;
  ring::WordStorage words_;  // empty when shared
  SharedWords shared_;
};

// The same of m polynomials in the clear, as words [slice][limb][polynomial][kTileWords].
class TiledPolynomials {
 public:
  // The caller puts every polynomial before anybody reads one.
  explicit TiledPolynomials(size_t count) : count_(count), words_(count * kLimbs * kDegree) {}

  size_t count() const { return count_; }
  // As TiledCiphertexts::put.
  void put(size_t index, const ring::EvaluationPolynomial& polynomial);
  // count() * kTileWords words.
  const uint32_t* tile(size_t slice, size_t limb) const {
    return words_.data() + tile_begin(slice, limb);
  }

 private:
  size_t tile_begin(size_t slice, size_t limb) const {
    return (slice * kLimbs + limb) * count_ * simd::kTileWords;
  }

  size_t count_;
  ring::WordStorage words_;
};

}  // namespace bauta::match
