// What the key service once answered to whoever held the authentication server's certificate, on
// the same ciphertexts and with the same decryption. For the tests of attacks alone, which are to
// succeed here: nothing installed may contain it (tests/link).
#pragma once

#include "match/admission.h"
#include "match/score_request.h"
#include "secret/secret_key.h"

namespace bauta::insecure_protocol {

// No ticket, no charge, no record; the tolerance is the caller's, and lengths are answered in steps
// of 1/128, 0 for what is not admitted.
Result<std::vector<double>> insecure_lengths(const secret::SecretKey& tenant,
                                             const match::Parameters& parameters,
                                             std::span<const std::string> admissions,
                                             double tolerance);

struct InsecureDecision {
  bool accepted = false;
  std::vector<match::Position> implausible;
};
// The threshold is the caller's, and positions with scores that no templates have are listed.
Result<InsecureDecision> insecure_decide(const secret::SecretKey& tenant,
                                         const match::Parameters& parameters,
                                         const std::string& scores, double threshold);

// Whether a template passes that many projections, and has the length of one. All of the functions
// here: for widths whose projections stand in one ciphertext.
bool insecure_is_admitted(const match::Parameters& parameters, match::TemplateKind kind,
                          const match::AdmissionResidues& residues, size_t projections);

}  // namespace bauta::insecure_protocol
