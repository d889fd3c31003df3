#include "tests/attacks/insecure_answers.h"

#include <cmath>

#include "match/scores.h"
#include "secret/encryption.h"

namespace bauta {

std::vector<double> insecure_KeyService::insecure_admit(
    std::span<const match::Admission> admissions) const {
  std::vector<double> lengths;
  for (const match::Admission& admission : admissions) {
    const auto residues = secret::decrypt(key_, admission.squared_norm).value();
    const uint32_t residue = residues.limb(0)[0], modulus = parameters_.ring().primes()[0];
    const double value = residue > modulus / 2 ? static_cast<double>(residue) - modulus
                                               : static_cast<double>(residue);
    const double scale = admission.kind == match::TemplateKind::probe
                             ? parameters_.probe_scale()
                             : parameters_.reference_scale();
    const double squared = value / (scale * scale / parameters_.ring().primes()[1]);
    lengths.push_back(std::round(std::sqrt(std::max(squared, 0.0)) * 128) / 128);
  }
  return lengths;
}

std::vector<match::Position> insecure_KeyService::insecure_decide(
    const match::ScoreRequest& request) const {
  std::vector<match::Position> implausible;
  for (uint32_t b = 0; b < request.blocks.size(); ++b) {
    const auto residues = secret::decrypt(key_, request.blocks[b].ciphertext).value();
    for (uint32_t j = 0; j < match::kDegree; ++j)
      if (match::is_live(request.blocks[b].live, j) &&
          match::decode_score(parameters_, residues.limb(0)[j]) > kInsecurePlausible)
        implausible.push_back({b, j});
  }
  return implausible;
}

}  // namespace bauta
