// From decrypted residues to a decision. Key-service side; plain numbers, no key.
#pragma once

#include <optional>
#include <span>

#include "match/score_request.h"

namespace bauta::match {

struct Candidate {
  Position position;
  double score = 0;
};

// Walks over the decrypted blocks of one request and keeps the best live position.
class ScoreReader {
 public:
  explicit ScoreReader(const Parameters& parameters) : parameters_(parameters) {}

  // The N residues modulo q0 that block number `block` decrypts to.
  void read(uint32_t block, std::span<const uint32_t> residues, const LivePositions& live);

  // The highest plausible score so far, if any.
  const std::optional<Candidate>& best() const { return best_; }
  // Positions whose score lies beyond kPlausibleScore: set aside for quarantine, the others decide.
  const std::vector<Position>& implausible() const { return implausible_; }

 private:
  Parameters parameters_;
  std::optional<Candidate> best_;
  std::vector<Position> implausible_;
};

// The score a live residue stands for.
double decode_score(const Parameters& parameters, uint32_t residue);

}  // namespace bauta::match
