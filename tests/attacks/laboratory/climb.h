// A4: campaigns of hill climbing against one enrolled person, counted as the key service counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/attacks/laboratory/counters.h"

namespace bauta::laboratory {

enum class Way { verify, identify };
enum class Counting {
  none,
  ratio,  // as it was before: one edge is locked when too large a share of its answers are misses
  absolute
};
enum class Strategy {
  walk,       // random directions, no model
  posterior,  // the most that the answers tell, at a fixed aim
  lottery,    // posterior; what is left before the lock is spent on lucky shots at the proof score
};

struct Campaign {
  uint32_t dimension = 128;
  double threshold = 0.4;
  double flood = kFlood;
  Way way = Way::verify;
  Strategy strategy = Strategy::posterior;
  double aim = 0;
  int edges = 1;      // that share what they learn
  double decoys = 0;  // of the edge's own face, for each answer
  int answers = 500;  // at most
  Counting counting = Counting::absolute;
  Budgets budgets;
};

struct Climb {
  std::vector<double>
      similarity;        // of the attacker's best vector to the template, after each answer
  int near = 0;          // that were counted in all
  bool stopped = false;  // for good
  double best = 0;       // similarity that it ever had, by its vector or by a lucky probe
};

// One run from a start of the given similarity.
Climb climb(const Campaign& campaign, double start, uint64_t seed);

struct Outcome {
  double mean = 0, worst = 0;  // of Climb::best
  double answers = 0;          // mean
  double near = 0;             // mean
  double stopped = 0;          // share of runs
};

// `runs` climbs from starts spread evenly over 0.5 to 0.6.
Outcome run(const Campaign& campaign, int runs, std::vector<Climb>* climbs = nullptr);

}  // namespace bauta::laboratory
