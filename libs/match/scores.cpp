#include "match/scores.h"

#include <cmath>

namespace bauta::match {

double decode_score(const Parameters& parameters, uint32_t residue) {
  const uint32_t modulus = parameters.ring().primes()[0];
  const uint32_t magnitude = std::min(residue, modulus - residue);
  return magnitude / parameters.score_scale() - kScoreOffset;
}

void ScoreReader::read(uint32_t block, std::span<const uint32_t> residues,
                       const LivePositions& live) {
  BAUTA_ASSERT(residues.size() == kDegree);
  for (uint32_t j = 0; j < kDegree; ++j) {
    if (!is_live(live, j)) continue;
    const double score = decode_score(parameters_, residues[j]);
    if (score > kPlausibleScore)
      implausible_.push_back({block, j});
    else if (!best_ || score > best_->score)
      best_ = Candidate{{block, j}, score};
  }
}

}  // namespace bauta::match
