// Reading a secret of ternary coefficients from the signs of linear forms in it: what a passive
// copy of the authentication server and one edge have after ordinary decisions (A3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace bauta::laboratory {

// One line for each decision: sign(offset + <form, secret> + noise) was the answer.
struct Decisions {
  explicit Decisions(size_t size) : coefficients(size) {}

  // A form's entries lie in [-0.5, 0.5), as roundings do.
  void add(std::span<const float> form, double offset, bool accepted);
  size_t count() const { return offsets.size(); }

  size_t coefficients;
  std::vector<int8_t> forms;  // times 256
  std::vector<float> offsets;
  std::vector<int8_t> signs;
};

struct Reading {
  std::vector<int8_t> secret;
  std::vector<double> evidence;  // for each coefficient, what it was read from
};

// The most likely secret by message passing (Rangan, "Generalized approximate message passing",
// 2011, with the probit channel and a ternary prior). `noise` is the standard deviation of what the
// forms do not explain, flood included. Where the answers tell nothing, a third of the coefficients
// is guessed as each value.
Reading read_secret(const Decisions& decisions, double noise, int iterations = 40);

struct Verdict {
  size_t wrong = 0;           // coefficients
  double expected_wrong = 0;  // of guessing
  double deviation = 0;       // of guessing
  double deviations() const { return (expected_wrong - static_cast<double>(wrong)) / deviation; }
  // Normal with deviation 1 where nothing is learnt, whatever is rounded: the correlation of the
  // evidence with the secret, times sqrt(n).
  double correlation = 0;
};
Verdict judge(const Reading& reading, std::span<const int8_t> secret);

}  // namespace bauta::laboratory
