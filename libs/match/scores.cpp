#include "match/scores.h"

#include <algorithm>
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
    if (score > plausible_)
      implausible_.push_back({block, j});
    else if (candidates_.size() < count_ || score > candidates_.back().score)
      keep({{block, j}, score});
  }
}

void ScoreReader::keep(const Candidate& candidate) {
  const auto place =
      std::ranges::upper_bound(candidates_, candidate.score, std::greater<>(), &Candidate::score);
  candidates_.insert(place, candidate);
  if (candidates_.size() > count_) candidates_.pop_back();
}

}  // namespace bauta::match
