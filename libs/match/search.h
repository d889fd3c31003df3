// The steps of a comparison that blocks and single references share. Internal to the library.
#pragma once

#include "match/block.h"

namespace bauta::match {

// sigma_{g_u} of the probe for every u < folding: one decomposition and folding - 1 key switches.
// Errors: those of EvaluationKeys::galois_keys.
Result<ProbeImages> make_probe_images(const EvaluationKeys& keys, const SwitchedProbe& probe,
                                      size_t folding, ThreadPool* pool = nullptr);

// Collects the scores of a request's blocks and hides everything that is not a score.
class SearchBuilder {
 public:
  explicit SearchBuilder(const EvaluationKeys& keys) : keys_(keys) {}

  // The product of a probe with a block folded at `folding`, whose first slot is first_slot.
  void add_block(ckks::ProductCiphertext&& product, size_t folding, uint64_t first_slot,
                 const LivePositions& live);

  // In a random order. Precondition: at least one block was added.
  Search finish() &&;

 private:
  struct Entry {
    ScoreBlock block;
    ScoreMap::Block map;
  };
  const EvaluationKeys& keys_;
  std::vector<Entry> entries_;
};

}  // namespace bauta::match
