// Daily use by honest people, counted as the key service counts: who is locked by mistake.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"
#include "tests/attacks/laboratory/climb.h"

namespace bauta::laboratory {

// How an engine's scores of people with themselves spread. Of a person with so many references the
// mean score (quantiles 1 %, 5 %, 10 %, .., 95 %, 99 % over people and choices of references) and
// the standard deviation around it, at each quantile.
struct ScoreTable {
  struct Row {
    std::array<double, 21> mean, deviation;
  };
  std::array<Row, 3> references;  // 1, 2, 3
  // Between two choices of references of one person, of the ranks of their means.
  double persistence = 0;
};

// MobileFaceNet on the people of LFW (folds 1 to 5 and who stands beside them) with enough
// pictures: 222, 129 and 91 people. Summary figures; nothing of a person.
const ScoreTable& lfw_scores();

struct DailyUse {
  Way way = Way::verify;
  double threshold = 0.4;
  int people = 10'000;
  int days = 365;
  int uses_per_day = 2;
  int attempts = 3;                // until one is accepted
  double other_edge = 0.2;         // share of uses that are not at the usual edge
  double strangers_per_day = 200;  // at the doors, for all people together
  // Days from the warning at half of a limit until the person is enrolled anew, with three
  // pictures; below 0: nobody heeds warnings.
  int reaction_days = 3;
  int references = 0;  // 1 to 3 each; 0: a third of the people each
  Budgets budgets;
};

struct Mistakes {
  double locked = 0;         // share of people, once or more
  double warned = 0;         // share of people, once or more
  double enrolled_anew = 0;  // per person
  double often = 0;          // share of people who were enrolled anew four times or more
  double rejected = 0;       // share of uses that were rejected after all attempts
  double near = 0;           // share of decisions
  double shown = 0;          // share of decisions at or above the proof score
};

Mistakes simulate(const DailyUse& use, const ScoreTable& scores, uint64_t seed);

}  // namespace bauta::laboratory
