#include "tests/attacks/laboratory/climb.h"

#include <algorithm>
#include <memory>
#include <variant>

#include "tests/attacks/laboratory/climber.h"

namespace bauta::laboratory {
namespace {

// What the attacker believes of its start at first; it is between 0.5 and 0.6.
constexpr double kBelievedStart = 0.55;

struct Victim {
  Vector start, enrolled;
};

// In an order of axes of no importance: the start is the first, which no climber makes use of.
Victim draw_victim(size_t dimension, double similarity, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Victim victim{Vector(dimension), Vector(dimension)};
  victim.start[0] = 1;
  for (size_t i = 1; i < dimension; ++i) victim.enrolled[i] = normal(random);
  normalise(victim.enrolled);
  for (float& value : victim.enrolled)
    value *= static_cast<float>(std::sqrt(1 - similarity * similarity));
  victim.enrolled[0] = static_cast<float>(similarity);
  return victim;
}

// Locked when more than a quarter of at least 20 answers are misses.
struct RatioCounter {
  int answers = 0, misses = 0;
  bool locked() const { return answers >= 20 && misses * 4 > answers; }
};

// One campaign under way.
class Attack {
 public:
  Attack(const Campaign& campaign, double start, uint64_t seed)
      : campaign_(campaign),
        random_(seed),
        victim_(draw_victim(campaign.dimension, start, random_)),
        climber_(victim_.start, kBelievedStart, campaign.threshold, campaign.flood, random_()),
        walker_(victim_.start, kBelievedStart, campaign.threshold, random_()),
        person_(campaign.budgets) {}

  Climb run() {
    double owed = 0;
    for (int answer = 0; answer < campaign_.answers && !locked(); ++answer) {
      for (owed += campaign_.decoys; owed >= 1; --owed) ++ratio_.answers;
      if (campaign_.strategy == Strategy::lottery && last_before_lock()) shoot();
      if (locked()) break;
      step();
      const double similarity = inner(best(), victim_.enrolled);
      climb_.similarity.push_back(similarity);
      climb_.best = std::max(climb_.best, similarity);
    }
    climb_.stopped = locked();
    return std::move(climb_);
  }

 private:
  bool locked() const {
    switch (campaign_.counting) {
      case Counting::none:
        return false;
      case Counting::ratio:
        return ratio_.locked();
      case Counting::absolute:
        return person_.locked();
    }
    return false;
  }
  // The attacker knows it better than it could.
  bool last_before_lock() const { return person_.near() + 1 >= campaign_.budgets.near_per_person; }

  void step() {
    if (campaign_.strategy == Strategy::walk) {
      walker_.learn(ask(walker_.ask()));
    } else {
      const Vector probe = climber_.ask(campaign_.aim);
      climber_.learn(probe, ask(probe));
    }
  }
  // Spends what is left but one on probes that might show the face; they tell nothing.
  void shoot() {
    while (last_before_lock() && person_.unproven() + 1 < campaign_.budgets.unproven_per_person) {
      const Vector probe = climber_.reach(campaign_.budgets.proof_score);
      climb_.best = std::max(climb_.best, inner(probe, victim_.enrolled));
      // Shots that would be near are not fired: the lock would end them.
      if (inner(probe, climber_.best()) - campaign_.threshold < campaign_.budgets.near_margin)
        return;
      ask(probe);
      if (locked()) return;
    }
  }
  bool ask(const Vector& probe) {
    const double score = inner(probe, victim_.enrolled) + campaign_.flood * normal_(random_);
    const bool accepted = score >= campaign_.threshold;
    const bool near = std::abs(score - campaign_.threshold) < campaign_.budgets.near_margin;
    climb_.near += near ? 1 : 0;
    ++ratio_.answers;
    ratio_.misses += accepted ? 0 : 1;
    // An identification that misses by far names nobody.
    if (campaign_.way == Way::verify || accepted || near)
      person_.count(edge_, score, campaign_.threshold);
    edge_ = (edge_ + 1) % campaign_.edges;
    return accepted;
  }
  Vector best() const {
    return campaign_.strategy == Strategy::walk ? walker_.best() : climber_.best();
  }

  const Campaign& campaign_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  Victim victim_;
  Climber climber_;
  Walker walker_;
  PersonCounters person_;
  RatioCounter ratio_;
  int edge_ = 0;
  Climb climb_;
};

}  // namespace

Climb climb(const Campaign& campaign, double start, uint64_t seed) {
  return Attack(campaign, start, seed).run();
}

Outcome run(const Campaign& campaign, int runs, std::vector<Climb>* climbs) {
  Outcome outcome;
  for (int i = 0; i < runs; ++i) {
    const double start = 0.5 + 0.1 * i / std::max(runs - 1, 1);
    Climb one = climb(campaign, start, 1000 + static_cast<uint64_t>(i));
    outcome.worst = std::max(outcome.worst, one.best);
    outcome.mean += one.best / runs;
    outcome.answers += static_cast<double>(one.similarity.size()) / runs;
    outcome.near += static_cast<double>(one.near) / runs;
    outcome.stopped += (one.stopped ? 1.0 : 0.0) / runs;
    if (climbs != nullptr) climbs->push_back(std::move(one));
  }
  return outcome;
}

}  // namespace bauta::laboratory
