// Answers: what the key service says to a ticket, bound to that ticket by a code which only the key
// service and the edge that signed it can make (docs/formats/answer.md). The authentication server
// carries it, and can change neither the ticket nor the answer.
#pragma once

#include <span>

#include "base/secret.h"
#include "services/ticket.h"

namespace bauta {

// What a decision says. The position is where the best score stands in the request; meaningful when
// accepted, and for keys created for evaluation.
struct DecisionOutcome {
  struct Position {
    uint32_t block = 0, coefficient = 0;
  };
  v1::Decision decision = v1::DECISION_REFUSED;
  // As many as the key allows candidates, at least one: those at or above the threshold, best
  // first, then zeros.
  std::vector<Position> positions;
  uint32_t candidates = 0;      // how many of them are meant
  double evaluation_score = 0;  // rounded to 1e-6; 0 but for keys created for evaluation
};

// As many bytes for every outcome of one key.
std::string serialize_outcome(const DecisionOutcome& outcome);
// Errors: corrupt.
Result<DecisionOutcome> parse_outcome(std::string_view bytes);

// Makes and checks the codes. Thread-safe.
class AnswerCode {
 public:
  // edge_seed: the secret that was delivered to the edge. Error unavailable when memory cannot be
  // locked.
  static Result<AnswerCode> create(const SecretBytes& edge_seed);

  v1::Answer make(const Digest& ticket, std::string outcome) const;
  // Error refused unless the key service has made this answer for this ticket.
  Status check(const Digest& ticket, const v1::Answer& answer) const;

 private:
  explicit AnswerCode(SecretBytes key) : key_(std::move(key)) {}
  Digest code(const Digest& ticket, std::string_view outcome) const;
  SecretBytes key_;
};

}  // namespace bauta
