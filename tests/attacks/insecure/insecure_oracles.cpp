#include "tests/attacks/insecure/insecure_oracles.h"

#include <cmath>

#include "match/scores.h"
#include "secret/encryption.h"

namespace bauta::insecure_protocol {
Result<std::vector<double>> insecure_lengths(const secret::SecretKey& tenant,
                                             const match::Parameters& parameters,
                                             std::span<const std::string> admissions,
                                             double tolerance) {
  std::vector<double> lengths;
  for (const std::string& bytes : admissions) {
    BAUTA_TRY(const match::Admission admission,
              match::parse_admission(parameters, as_bytes(bytes)));
    BAUTA_TRY(const auto stray, secret::decrypt(tenant, admission.stray));
    BAUTA_TRY(const auto projections, secret::decrypt(tenant, admission.projections.front()));
    BAUTA_TRY(const auto norm, secret::decrypt(tenant, admission.squared_norm));
    const auto squared_norm = match::check_admission(
        parameters, admission.kind,
        {{stray.limb(0), stray.limb(1)}, {projections.limb(0)}, norm.limb(0)}, tolerance);
    lengths.push_back(squared_norm.ok() ? std::round(std::sqrt(*squared_norm) * 128) / 128 : 0);
  }
  return lengths;
}

Result<InsecureDecision> insecure_decide(const secret::SecretKey& tenant,
                                         const match::Parameters& parameters,
                                         const std::string& scores, double threshold) {
  BAUTA_TRY(const match::ScoreRequest request,
            match::parse_score_request(parameters, as_bytes(scores)));
  InsecureDecision decision;
  for (uint32_t block = 0; block < request.blocks.size(); ++block) {
    BAUTA_TRY(const auto residues, secret::decrypt(tenant, request.blocks[block].ciphertext));
    for (uint32_t j = 0; j < match::kDegree; ++j) {
      if (!match::is_live(request.blocks[block].live, j)) continue;
      const double score = match::decode_score(parameters, residues.limb(0)[j]);
      if (score > match::kPlausibleScore)
        decision.implausible.push_back({block, j});
      else
        decision.accepted = decision.accepted || score >= threshold;
    }
  }
  return decision;
}

bool insecure_is_admitted(const match::Parameters& parameters, match::TemplateKind kind,
                          const match::AdmissionResidues& residues, size_t projections) {
  // Those beyond the count are shown as nothing.
  const ring::ConstLimb all = residues.projections.front();
  std::vector<uint32_t> shown(all.begin(), all.end());
  std::fill(shown.begin() + static_cast<ptrdiff_t>(projections), shown.end(), 0u);
  return match::check_admission(parameters, kind, {residues.stray, {shown}, residues.squared_norm})
      .ok();
}

}  // namespace bauta::insecure_protocol
