// The scan: probes against blocks, the part of a search that costs memory bandwidth.
#pragma once

#include <span>
#include <vector>

#include "match/tiles.h"

namespace bauta::match {

// The ciphertexts of a probe under the automorphisms of one folding.
struct ProbeImages {
  using Product = ckks::ProductCiphertext;

  TiledCiphertexts tiles;
  double scale = 1;
  ckks::KeyId key_id;
};

// The same of a probe in the clear.
struct VisibleProbeImages {
  using Product = ckks::EvaluationCiphertext;

  TiledPolynomials tiles;
  double scale = 1;
  ckks::KeyId key_id;  // of the blocks
};

// sum over u of probe u times block ciphertext u, for every probe and every block: element
// probe * blocks.size() + block. Every block is read once, whatever the number of probes. Images is
// one of the two above.
// Preconditions: all have the same count; the blocks' ciphertexts have the scale reference_scale.
template <typename Images>
std::vector<typename Images::Product> scan(std::span<const Images* const> probes,
                                           std::span<const TiledCiphertexts* const> blocks,
                                           const ring::Basis& basis, double reference_scale,
                                           ThreadPool* pool = nullptr);

}  // namespace bauta::match
