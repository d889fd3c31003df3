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

size_t ScoreReader::read(uint32_t block, std::span<const uint32_t> residues,
                         const LivePositions& live, std::span<const Pseudonym> persons) {
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
  double lowest = bar();
  size_t person = 0;
  for (uint32_t j = 0; j < kDegree; ++j) {
    if (!is_live(live, j)) continue;
    const size_t live_position = person++;
    if (scores[j] > plausible_) {
      ++implausible_count_;
    } else if (scores[j] >= lowest) {
      BAUTA_ASSERT(persons.empty() || live_position < persons.size());
      consider({{block, j}, scores[j]}, persons.empty() ? Pseudonym{} : persons[live_position]);
      lowest = bar();
    }
  }
  wipe({reinterpret_cast<uint8_t*>(scores.data()), sizeof(scores)});
  return persons.empty() ? 0 : person;
}

double ScoreReader::bar() const {
  if (candidates_.size() < count_) return -std::numeric_limits<double>::infinity();
  return std::min(watch_.floor, candidates_.back().score);
}

void ScoreReader::consider(const Candidate& candidate, const Pseudonym& person) {
  if (watch_.passed_over != nullptr && watch_.passed_over->contains(person)) return;
  if (candidate.score >= watch_.floor && !crowded()) {
    double& best = watched_.try_emplace(person, candidate.score).first->second;
    best = std::max(best, candidate.score);
  }
  const auto place =
      std::ranges::upper_bound(candidates_, candidate.score, std::greater<>(), &Candidate::score);
  candidates_.insert(place, candidate);
  if (candidates_.size() > count_) candidates_.pop_back();
}

}  // namespace bauta::match
