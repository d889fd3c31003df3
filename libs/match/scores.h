// From decrypted residues to a decision. Key-service side; plain numbers, no key.
#pragma once

#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "match/flood.h"
#include "match/score_request.h"

namespace bauta::match {

struct Candidate {
  Position position;
  double score = 0;
};

// Of whom a reader notes the best score, beside the candidates.
struct Watch {
  double floor = std::numeric_limits<double>::infinity();  // of those who score so high, or higher
  size_t persons = 256;                                    // so many; crowded() tells of more
  const std::set<Pseudonym>* passed_over = nullptr;        // of these no score counts for anything
};

// Walks over the decrypted blocks of one request and keeps the best live positions.
class ScoreReader {
 public:
  // Keeps `count` candidates, at least 1. `plausible`: the largest score that two templates which
  // the gallery admits can have, the flood's bound included. A score is multiplied by `scale`, and
  // then its draw of the flood is added, before anything else is done with it.
  explicit ScoreReader(const Parameters& parameters, size_t count = 1,
                       double plausible = kPlausibleScore, const Flood& flood = Flood::none(),
                       double scale = 1, const Watch& watch = {})
      : parameters_(parameters),
        count_(count),
        plausible_(plausible),
        flood_(flood),
        scale_(scale),
        watch_(watch) {}

  // The N residues modulo q0 that block number `block` decrypts to. `persons`: whose the live
  // positions are, in their order, and perhaps those of further blocks; empty: all of them zeros.
  // How many of `persons` the block has used.
  size_t read(uint32_t block, std::span<const uint32_t> residues, const LivePositions& live,
              std::span<const Pseudonym> persons = {});

  // The highest plausible scores so far, the best first.
  const std::vector<Candidate>& candidates() const { return candidates_; }
  std::optional<Candidate> best() const {
    return candidates_.empty() ? std::nullopt : std::optional(candidates_.front());
  }
  // How many scores were not plausible. Nothing says which: a position is an answer of its own.
  size_t implausible_count() const { return implausible_count_; }
  // The best score of everybody who is watched.
  const std::map<Pseudonym, double>& watched() const { return watched_; }
  bool crowded() const { return watched_.size() > watch_.persons; }

 private:
  void consider(const Candidate& candidate, const Pseudonym& person);
  double bar() const;

  Parameters parameters_;
  size_t count_;
  double plausible_;
  Flood flood_;
  double scale_;
  Watch watch_;
  std::vector<Candidate> candidates_;
  std::map<Pseudonym, double> watched_;
  size_t implausible_count_ = 0;
};

// The score a live residue stands for.
double decode_score(const Parameters& parameters, uint32_t residue);

}  // namespace bauta::match
