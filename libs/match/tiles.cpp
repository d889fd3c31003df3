#include "match/tiles.h"

#include <algorithm>

namespace bauta::match {

TiledCiphertexts::TiledCiphertexts(size_t count)
    : count_(count), words_(count * 2 * kLimbs * kDegree) {}

TiledCiphertexts::TiledCiphertexts(SharedWords shared)
    : count_(shared.words.size() / (2 * kLimbs * kDegree)), shared_(std::move(shared)) {
  BAUTA_ASSERT(shared_.owner != nullptr && shared_.words.size() == count_ * 2 * kLimbs * kDegree);
}

void TiledCiphertexts::put(size_t index, const ring::EvaluationPolynomial& c0,
                           const ring::EvaluationPolynomial& c1) {
  BAUTA_ASSERT(index < count_ && !shared() && c0.limb_count() == kLimbs &&
               c1.limb_count() == kLimbs);
  for (size_t slice = 0; slice < kSlices; ++slice)
    for (size_t limb = 0; limb < kLimbs; ++limb) {
      uint32_t* target = words_.data() + tile_begin(slice, limb) + index * 2 * simd::kTileWords;
      const size_t place = slice * simd::kTileWords;
      std::copy_n(c0.limb(limb).data() + place, simd::kTileWords, target);
      std::copy_n(c1.limb(limb).data() + place, simd::kTileWords, target + simd::kTileWords);
    }
}

void TiledCiphertexts::get(size_t index, ring::EvaluationPolynomial& c0,
                           ring::EvaluationPolynomial& c1) const {
  BAUTA_ASSERT(index < count_ && c0.limb_count() == kLimbs && c1.limb_count() == kLimbs);
  for (size_t slice = 0; slice < kSlices; ++slice)
    for (size_t limb = 0; limb < kLimbs; ++limb) {
      const uint32_t* source = tile(slice, limb) + index * 2 * simd::kTileWords;
      const size_t place = slice * simd::kTileWords;
      std::copy_n(source, simd::kTileWords, c0.limb(limb).data() + place);
      std::copy_n(source + simd::kTileWords, simd::kTileWords, c1.limb(limb).data() + place);
    }
}

void TiledPolynomials::put(size_t index, const ring::EvaluationPolynomial& polynomial) {
  BAUTA_ASSERT(index < count_ && polynomial.limb_count() == kLimbs);
  for (size_t slice = 0; slice < kSlices; ++slice)
    for (size_t limb = 0; limb < kLimbs; ++limb)
      std::copy_n(polynomial.limb(limb).data() + slice * simd::kTileWords, simd::kTileWords,
                  words_.data() + tile_begin(slice, limb) + index * simd::kTileWords);
}

}  // namespace bauta::match
