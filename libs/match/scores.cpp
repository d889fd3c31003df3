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
  std::array<double, kDegree> scores;
  flood_.draw(block, scores);
  const uint32_t modulus = parameters_.ring().primes()[0];
  const double unit = scale_ / parameters_.score_scale(), offset = scale_ * kScoreOffset;
  for (size_t j = 0; j < kDegree; ++j) {
    // As decode_score; below 2^30, so that the conversion is a single instruction.
    const auto magnitude = static_cast<int32_t>(std::min(residues[j], modulus - residues[j]));
    scores[j] += magnitude * unit - offset;
  }
  for (uint32_t j = 0; j < kDegree; ++j) {
    if (!is_live(live, j)) continue;
    if (scores[j] > plausible_)
      ++implausible_count_;
    else if (candidates_.size() < count_ || scores[j] > candidates_.back().score)
      keep({{block, j}, scores[j]});
  }
  wipe({reinterpret_cast<uint8_t*>(scores.data()), sizeof(scores)});
}

void ScoreReader::keep(const Candidate& candidate) {
  const auto place =
      std::ranges::upper_bound(candidates_, candidate.score, std::greater<>(), &Candidate::score);
  candidates_.insert(place, candidate);
  if (candidates_.size() > count_) candidates_.pop_back();
}

}  // namespace bauta::match
