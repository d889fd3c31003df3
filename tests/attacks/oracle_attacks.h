// The key read out of what was answered without a charge (A1, A2): the questions, and what the
// answers mean. Who answers is the caller's.
#pragma once

#include <functional>

#include "match/admission.h"
#include "match/score_request.h"

namespace bauta {

struct RecoveredSecret {
  std::vector<int> coefficients = std::vector<int>(match::kDegree);
  size_t calls = 0;
};

// A1. Three coefficients in each length: a template without a key, whose squared norm is
// 0.54 + 0.04 (s[i] + 3 s[i+1] + 9 s[i+2]). `answer` gives a length for each admission, 256 a call.
RecoveredSecret read_lengths(
    const match::Parameters& parameters, const ckks::KeyId& tenant,
    const std::function<std::vector<double>(std::span<const match::Admission>)>& answer);

// A2. Scores so near what is plausible that each coefficient says on which side they lie.
RecoveredSecret read_implausible(
    const match::Parameters& parameters, const ckks::KeyId& tenant, double plausible,
    const std::function<std::vector<match::Position>(const match::ScoreRequest&)>& answer);

}  // namespace bauta
