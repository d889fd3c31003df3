#include "match/scores.h"

#include <algorithm>
#include <array>
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
  std::array<double, kDegree> draws;
  flood_.draw(block, draws);
  for (uint32_t j = 0; j < kDegree; ++j) {
    if (!is_live(live, j)) continue;
    const double score = decode_score(parameters_, residues[j]) * scale_ + draws[j];
    if (score > plausible_)
      ++implausible_count_;
    else if (candidates_.size() < count_ || score > candidates_.back().score)
      keep({{block, j}, score});
  }
  wipe({reinterpret_cast<uint8_t*>(draws.data()), sizeof(draws)});
}

void ScoreReader::keep(const Candidate& candidate) {
  const auto place =
      std::ranges::upper_bound(candidates_, candidate.score, std::greater<>(), &Candidate::score);
  candidates_.insert(place, candidate);
  if (candidates_.size() > count_) candidates_.pop_back();
}

}  // namespace bauta::match
