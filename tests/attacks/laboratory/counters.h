// The counters of the key service on one person, as numbers: what docs/design/budgets.md derives
// the defaults from. The real ones are services/key/ledger.h.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>

namespace bauta::laboratory {

inline constexpr double kFlood = 3e-3;  // standard deviation of the noise on every score

struct Budgets {
  double near_margin = 0.08;  // a score is near when it lies closer to what decides
  // No attacker that is still to be stopped scores this: whoever does has shown the face.
  double proof_score = 0.75;
  int near_per_person = 24;
  int unproven_per_person = 200;
};

// Near decisions and all decisions that name the person, of each edge since it last showed the
// face. The sum over edges locks. What one edge shows pays for nothing that another did.
class PersonCounters {
 public:
  explicit PersonCounters(const Budgets& budgets) : budgets_(budgets) {}

  // A decision that compared a probe with this person, or found him best: his score and what it was
  // held against (the threshold, or the score of the next person where that is nearer).
  void count(int edge, double score, double boundary) {
    Balance& balance = balances_[edge];
    const bool near = std::abs(score - boundary) < budgets_.near_margin;
    if (!near && score >= budgets_.proof_score) {
      balance = {};
      return;
    }
    balance.near += near ? 1 : 0;
    ++balance.unproven;
  }
  void enrolled_anew() { balances_.clear(); }

  int near() const { return sum(&Balance::near); }
  int unproven() const { return sum(&Balance::unproven); }
  // Of the limit that is used up most.
  double share() const {
    return std::max(static_cast<double>(near()) / budgets_.near_per_person,
                    static_cast<double>(unproven()) / budgets_.unproven_per_person);
  }
  bool locked() const { return share() >= 1; }

 private:
  struct Balance {
    int near = 0, unproven = 0;
  };
  int sum(int Balance::*count) const {
    int total = 0;
    for (const auto& [edge, balance] : balances_) total += balance.*count;
    return total;
  }

  Budgets budgets_;
  std::map<int, Balance> balances_;
};

}  // namespace bauta::laboratory
