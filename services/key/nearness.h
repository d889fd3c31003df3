// Whom an answer tells something of, and what: yes and no about one person is a comparison with
// that person's template, wherever it comes from (docs/design/budgets.md).
#pragma once

#include <map>
#include <vector>

#include "services/key/ledger.h"

namespace bauta::key {

// What an answer about one person says, who scored so high: near_hit or near_match next to the
// threshold; proof; else none.
LogNote nearness_of(double score, double threshold, const Policy& policy);

// Of a search that shows the best person if the score reaches the threshold, or, `ordered`, several
// in their order. `scores`: the best of everybody who scores at most policy.near_margin below the
// threshold. What decides of the best person is the threshold and the next one's score, and of
// everybody else whichever of the threshold and the best score is higher: otherwise a reference of
// an attacker's own would be a threshold of its choice that nobody counts.
std::vector<Told> told_of(const std::map<PersonId, double>& scores, double threshold, bool ordered,
                          const Policy& policy);

}  // namespace bauta::key
