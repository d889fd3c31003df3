#include "services/key/nearness.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bauta::key {

LogNote nearness_of(double score, double threshold, const Policy& policy) {
  if (std::abs(score - threshold) < policy.near_margin)
    return score >= threshold ? LogNote::near_hit : LogNote::near_match;
  return score >= threshold && score >= policy.proof_score ? LogNote::proof : LogNote::none;
}

std::vector<Told> told_of(const std::map<PersonId, double>& scores, double threshold, bool ordered,
                          const Policy& policy) {
  std::vector<std::pair<double, PersonId>> descending;
  for (const auto& [person, score] : scores) descending.emplace_back(score, person);
  std::ranges::sort(descending, std::greater<>());
  constexpr double kNobody = std::numeric_limits<double>::infinity();
  const auto score_of = [&](size_t i) {
    return i < descending.size() ? descending[i].first : -kNobody;
  };
  std::vector<Told> told;
  for (size_t i = 0; i < descending.size(); ++i) {
    const auto& [score, person] = descending[i];
    const bool shown = score >= threshold && (ordered || i == 0);
    const LogNote note = nearness_of(score, threshold, policy);
    // Whoever scores so high has nothing left to find: nor by comparing two people.
    if (shown && note == LogNote::proof) {
      told.push_back({person, note});
      continue;
    }
    double distance = std::abs(score - threshold);
    if (ordered || i == 0) distance = std::min(distance, score - score_of(i + 1));
    if (ordered && i > 0) distance = std::min(distance, score_of(i - 1) - score);
    if (!ordered && i > 0) distance = std::max(threshold, score_of(0)) - score;
    if (distance < policy.near_margin)
      told.push_back({person, shown ? LogNote::near_hit : LogNote::near_match});
    else if (shown)
      told.push_back({person, LogNote::none});
  }
  return told;
}

}  // namespace bauta::key
