// Whole blocks from embeddings made elsewhere: r ciphertexts for 4,096 references instead of one
// ciphertext and r key switches each. Edge side; needs no key. Such references keep no original.
#pragma once

#include <span>
#include <vector>

#include "match/template_codec.h"

namespace bauta::match {

// The plaintexts of one block, made row by row.
class BulkBlock {
 public:
  // embeddings: `count` rows of parameters.dimension() entries, count from 1 to kDegree. Row j
  // takes coefficient j of a block folded at the width. Errors invalid_argument, naming the row:
  // NaN or infinite entries, norm not 1.
  static Result<BulkBlock> create(const Parameters& parameters, std::span<const float> embeddings);

  // Embeddings are faces: wiped on release.
  BulkBlock(BulkBlock&&) = default;
  BulkBlock& operator=(BulkBlock&&) = default;
  BulkBlock(const BulkBlock&) = delete;
  BulkBlock& operator=(const BulkBlock&) = delete;
  ~BulkBlock();

  size_t references() const { return references_; }

  // The N coefficients of sum over j of X^j * sigma_g(reference_scale * k_j), g = 2u+1, for the
  // u-th ciphertext of the block, u < width. Error `unavailable` when memory cannot be locked.
  Result<TemplatePolynomial> encode(size_t u) const;

 private:
  explicit BulkBlock(const Parameters& parameters) : parameters_(parameters) {}

  Parameters parameters_;
  size_t references_ = 0;
  std::vector<float> columns_;  // [entry][reference], so that one entry of all is contiguous
};

}  // namespace bauta::match
