// What the key service answered before it charged for answers, for the attacks that this served:
// lengths of templates to whoever asks, and lists of implausible scores. Linked into tests only;
// a test looks for `insecure_` in the installed programs.
#pragma once

#include "match/admission.h"
#include "match/score_request.h"
#include "secret/secret_key.h"

namespace bauta {

class insecure_KeyService {
 public:
  insecure_KeyService(const match::Parameters& parameters, const secret::SecretKey& key)
      : parameters_(parameters), key_(key) {}

  // The length of each template, to 1/128: no ticket, no charge, and a tolerance of the caller's,
  // who asks for the largest.
  std::vector<double> insecure_admit(std::span<const match::Admission> admissions) const;

  // Where scores are implausible, however many.
  std::vector<match::Position> insecure_decide(const match::ScoreRequest& request) const;
  static constexpr double kInsecurePlausible = 1;

 private:
  const match::Parameters& parameters_;
  const secret::SecretKey& key_;
};

}  // namespace bauta
