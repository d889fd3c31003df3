// The steps of a comparison that blocks and single references share. Internal to the library.
#pragma once

#include "match/block.h"

namespace bauta::match {

// sigma_{g_u} of the probe for every u < folding: one decomposition and folding - 1 key switches.
// Errors: those of EvaluationKeys::galois_keys; mismatch for a probe of another key.
Result<ProbeImages> make_probe_images(const EvaluationKeys& keys, const SwitchedProbe& probe,
                                      size_t folding, ThreadPool* pool = nullptr);
// One transform; the rest is permuting.
Result<VisibleProbeImages> make_probe_images(const EvaluationKeys& keys, const VisibleProbe& probe,
                                             size_t folding, ThreadPool* pool = nullptr);

// Where the product of a search came from.
struct ScannedBlock {
  uint64_t first_slot = 0;
  LivePositions live{};
};

// The scores of a folding's product in coefficients of one limb at score_scale(): relinearised,
// brought from the scale m*Dq*Dk to r*Dq*Dk, a limb dropped. Nothing is hidden yet: coefficients
// that are not scores correlate probe and references.
ckks::CoefficientCiphertext reduce_product(const EvaluationKeys& keys,
                                           ckks::ProductCiphertext&& product, size_t folding);
ckks::CoefficientCiphertext reduce_product(const EvaluationKeys& keys,
                                           ckks::EvaluationCiphertext&& product, size_t folding);

// Hides everything in the products of one probe that is not a score: reduces, masks, rotates each
// block and puts them in a random order. Product is one of the two that scan() makes.
// Masks, rotations and order follow from the seed: uniform, of this one request, unknown to the key
// service; the result does not depend on the threads. Precondition: as many products as blocks, at
// least one; all of one probe and the keys' tenant; product i is folded at foldings[i].
template <typename Product>
Search hide_scores(const EvaluationKeys& keys, std::span<Product> products,
                   std::span<const size_t> foldings, std::span<const ScannedBlock> blocks,
                   ThreadPool* pool = nullptr,
                   const ring::PublicSeed& seed = ring::fresh_public_seed());

}  // namespace bauta::match
