#include "tests/attacks/laboratory/honest.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

namespace bauta::laboratory {
namespace {

// Of scores of different people, from 0.4 up: log P(score > s) falls by so much per unit, from
// P(score > 0.45) = 1.9e-5 (MobileFaceNet, 2.2 million pairs of LFW).
constexpr double kStrangerRate = 1.9e-5, kStrangerAt = 0.45, kStrangerFall = 34;
// Of two attempts one after the other.
constexpr double kAttemptCorrelation = 0.5;

double rank_of(double normal) {
  return 0.5 * std::erfc(-normal / std::numbers::sqrt2);
}

double interpolate(const std::array<double, 21>& values, double rank) {
  const double place = std::clamp(rank, 0.0, 1.0) * 20;
  const auto below = std::min<size_t>(static_cast<size_t>(place), 19);
  const double part = place - static_cast<double>(below);
  return values[below] * (1 - part) + values[below + 1] * part;
}

struct Person {
  double trait = 0;  // standard normal: how easily recognised, whatever the references
  double mean = 0, deviation = 0;
  PersonCounters counters;
  int warned_on = -1, times_anew = 0;
  bool locked = false, warned = false;
};

class Year {
 public:
  Year(const DailyUse& use, const ScoreTable& scores, uint64_t seed)
      : use_(use), scores_(scores), random_(seed) {
    for (int i = 0; i < use.people; ++i) {
      people_.push_back({normal_(random_), 0, 0, PersonCounters(use.budgets)});
      enrol(people_.back(), use.references == 0 ? 1 + i % 3 : use.references);
    }
  }

  Mistakes run() {
    for (int day = 0; day < use_.days; ++day) {
      for (Person& person : people_) live(person, day);
      if (use_.way == Way::identify) meet_strangers();
    }
    return sum_up();
  }

 private:
  void enrol(Person& person, int references) {
    const double p = scores_.persistence;
    const double rank = rank_of(std::sqrt(p) * person.trait + std::sqrt(1 - p) * normal_(random_));
    const ScoreTable::Row& row = scores_.references[static_cast<size_t>(references - 1)];
    person.mean = interpolate(row.mean, rank);
    person.deviation = interpolate(row.deviation, rank);
  }

  void live(Person& person, int day) {
    if (person.locked) {
      // The operator clears it, on record, and enrols him as he ought to have been.
      person.locked = false;
      enrol_anew(person);
      return;
    }
    if (person.warned_on >= 0 && use_.reaction_days >= 0 &&
        day - person.warned_on >= use_.reaction_days)
      enrol_anew(person);
    for (int i = 0; i < use_.uses_per_day; ++i) use_once(person, day);
  }
  void enrol_anew(Person& person) {
    person.counters.enrolled_anew();
    person.warned_on = -1;
    ++person.times_anew;
    enrol(person, 3);
  }

  void use_once(Person& person, int day) {
    const int edge = uniform_(random_) < use_.other_edge ? 1 : 0;
    const double today = normal_(random_);
    bool accepted = false;
    ++uses_;
    for (int attempt = 0; attempt < use_.attempts && !accepted; ++attempt) {
      const double score =
          std::min(person.mean +
                       person.deviation * (std::sqrt(kAttemptCorrelation) * today +
                                           std::sqrt(1 - kAttemptCorrelation) * normal_(random_)),
                   1.0) +
          kFlood * normal_(random_);
      accepted = score >= use_.threshold;
      decide(person, edge, score, day);
      if (person.locked) return;
    }
    rejected_ += accepted ? 0 : 1;
  }

  void decide(Person& person, int edge, double score, int day) {
    const bool near = std::abs(score - use_.threshold) < use_.budgets.near_margin;
    ++decisions_;
    near_ += near ? 1 : 0;
    shown_ += score >= use_.budgets.proof_score ? 1 : 0;
    // An identification that misses by far names nobody.
    if (use_.way == Way::identify && !near && score < use_.threshold) return;
    person.counters.count(edge, score, use_.threshold);
    notice(person, day);
  }
  void notice(Person& person, int day) {
    if (person.counters.share() >= 0.5 && person.warned_on < 0) {
      person.warned_on = day;
      ever_warned_ += person.warned ? 0 : 1;
      person.warned = true;
    }
    if (!person.counters.locked() || person.locked) return;
    person.locked = true;
    ++locks_;
    ever_locked_[static_cast<size_t>(&person - people_.data())] = true;
  }

  // Whom a stranger resembles so much that he is near is anybody.
  void meet_strangers() {
    const double positions = 2.0 * use_.people;
    const double above = use_.threshold - use_.budgets.near_margin;
    const double chance =
        kStrangerRate * std::exp(-kStrangerFall * (above - kStrangerAt)) * positions;
    std::poisson_distribution<int> count(use_.strangers_per_day * std::min(chance, 1.0));
    std::uniform_int_distribution<size_t> anybody(0, people_.size() - 1);
    for (int left = count(random_); left > 0; --left) {
      Person& person = people_[anybody(random_)];
      person.counters.count(0, use_.threshold, use_.threshold);
      notice(person, 0);
    }
  }

  Mistakes sum_up() const {
    const double people = use_.people;
    Mistakes mistakes;
    mistakes.locked = static_cast<double>(std::ranges::count(ever_locked_, true)) / people;
    mistakes.warned = ever_warned_ / people;
    for (const Person& person : people_) {
      mistakes.enrolled_anew += person.times_anew / people;
      mistakes.often += person.times_anew >= 4 ? 1 / people : 0;
    }
    mistakes.rejected = rejected_ / uses_;
    mistakes.near = near_ / decisions_;
    mistakes.shown = shown_ / decisions_;
    return mistakes;
  }

  const DailyUse& use_;
  const ScoreTable& scores_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
  std::uniform_real_distribution<double> uniform_;
  std::vector<Person> people_;
  std::vector<bool> ever_locked_ = std::vector<bool>(static_cast<size_t>(use_.people));
  double uses_ = 0, decisions_ = 0, near_ = 0, shown_ = 0, rejected_ = 0, ever_warned_ = 0;
  double locks_ = 0;
};

}  // namespace

const ScoreTable& lfw_scores() {
  static const ScoreTable table = {
      .references = {{
          {.mean = {0.313, 0.438, 0.486, 0.525, 0.551, 0.571, 0.585, 0.604, 0.615, 0.628, 0.642,
                    0.652, 0.663, 0.675, 0.685, 0.700, 0.711, 0.725, 0.741, 0.764, 0.812},
           .deviation = {0.099, 0.099, 0.115, 0.120, 0.109, 0.107, 0.103,
                         0.096, 0.091, 0.093, 0.093, 0.091, 0.089, 0.088,
                         0.081, 0.077, 0.082, 0.076, 0.069, 0.064, 0.059}},
          {.mean = {0.429, 0.505, 0.557, 0.588, 0.606, 0.625, 0.642, 0.652, 0.667, 0.677, 0.685,
                    0.694, 0.703, 0.714, 0.724, 0.734, 0.742, 0.756, 0.769, 0.792, 0.829},
           .deviation = {0.123, 0.134, 0.130, 0.107, 0.099, 0.095, 0.102,
                         0.106, 0.095, 0.088, 0.088, 0.083, 0.086, 0.092,
                         0.081, 0.073, 0.073, 0.067, 0.065, 0.062, 0.055}},
          {.mean = {0.464, 0.570, 0.604, 0.616, 0.633, 0.649, 0.666, 0.678, 0.689, 0.698, 0.709,
                    0.716, 0.724, 0.732, 0.741, 0.749, 0.757, 0.772, 0.783, 0.803, 0.824},
           .deviation = {0.150, 0.136, 0.114, 0.103, 0.098, 0.096, 0.098,
                         0.095, 0.093, 0.089, 0.082, 0.082, 0.080, 0.077,
                         0.074, 0.073, 0.070, 0.064, 0.055, 0.055, 0.060}},
      }},
      .persistence = 0.7};
  return table;
}

Mistakes simulate(const DailyUse& use, const ScoreTable& scores, uint64_t seed) {
  return Year(use, scores, seed).run();
}

}  // namespace bauta::laboratory
