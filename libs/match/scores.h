// From decrypted residues to a decision. Key-service side; plain numbers, no key.
#pragma once

#include <optional>
#include <span>

#include "match/flood.h"
#include "match/score_request.h"

namespace bauta::match {

struct Candidate {
  Position position;
  double score = 0;
};

// Walks over the decrypted blocks of one request and keeps the best live positions.
class ScoreReader {
 public:
  // Keeps `count` candidates, at least 1. `plausible`: the largest score that two templates which
  // the gallery admits can have, the flood's bound included. A score is multiplied by `scale`, and
  // then its draw of the flood is added, before anything else is done with it.
  explicit ScoreReader(const Parameters& parameters, size_t count = 1,
                       double plausible = kPlausibleScore, const Flood& flood = Flood::none(),
                       double scale = 1)
      : parameters_(parameters),
        count_(count),
        plausible_(plausible),
        flood_(flood),
        scale_(scale) {}

  // The N residues modulo q0 that block number `block` decrypts to.
  void read(uint32_t block, std::span<const uint32_t> residues, const LivePositions& live);

  // The highest plausible scores so far, the best first.
  const std::vector<Candidate>& candidates() const { return candidates_; }
  std::optional<Candidate> best() const {
    return candidates_.empty() ? std::nullopt : std::optional(candidates_.front());
  }
  // How many scores were not plausible. Nothing says which: a position is an answer of its own.
  size_t implausible_count() const { return implausible_count_; }

 private:
  void keep(const Candidate& candidate);

  Parameters parameters_;
  size_t count_;
  double plausible_;
  Flood flood_;
  double scale_;
  std::vector<Candidate> candidates_;
  size_t implausible_count_ = 0;
};

// The score a live residue stands for.
double decode_score(const Parameters& parameters, uint32_t residue);

}  // namespace bauta::match
