#include "tests/attacks/oracle_attacks.h"

#include <algorithm>
#include <cmath>

#include "ring/polynomial.h"

namespace bauta {
namespace {

using match::kDegree;

ckks::CoefficientCiphertext make(const match::Parameters& parameters, const ckks::KeyId& tenant,
                                 size_t limbs, const std::vector<int64_t>& c0,
                                 const std::vector<int64_t>& c1, double scale) {
  const ring::Basis basis = parameters.ring().ciphertext_moduli().prefix(limbs);
  return {ring::from_signed(c0, basis), ring::from_signed(c1, basis), scale, tenant};
}

constexpr double kCentre = 0.54, kStep = 0.04;
constexpr size_t kTogether = 3, kAdmissionsPerCall = 256;

match::Admission ask_for(const match::Parameters& parameters, const ckks::KeyId& tenant,
                         size_t first) {
  const double scale = parameters.reference_scale();
  const double unit = scale * scale / parameters.ring().primes()[1];
  const std::vector<int64_t> zero(kDegree);
  std::vector<int64_t> c0(kDegree), c1(kDegree);
  c0[0] = std::llround(kCentre * unit);
  int64_t weight = std::llround(kStep * unit);
  for (size_t i = first; i < std::min(first + kTogether, kDegree); ++i, weight *= 3) {
    // c1[N - i] meets s[i] in coefficient 0 of the product, with the other sign.
    if (i == 0)
      c1[0] = weight;
    else
      c1[kDegree - i] = -weight;
  }
  match::Admission admission;
  admission.kind = match::TemplateKind::reference;
  admission.stray = make(parameters, tenant, 2, zero, zero, scale);
  for (size_t i = 0; i < match::projection_ciphertexts(parameters); ++i)
    admission.projections.push_back(make(parameters, tenant, 1, zero, zero, scale));
  admission.squared_norm = make(parameters, tenant, 1, c0, c1, scale);
  return admission;
}

// The sum of s[i] 3^i that explains a length best.
int explain(double length) {
  int best = 0;
  double distance = 1e9;
  for (int sum = -13; sum <= 13; ++sum) {
    const double off = std::abs(std::sqrt(kCentre + kStep * sum) - length);
    if (off >= distance) continue;
    distance = off;
    best = sum;
  }
  return best;
}

}  // namespace

RecoveredSecret read_lengths(
    const match::Parameters& parameters, const ckks::KeyId& tenant,
    const std::function<std::vector<double>(std::span<const match::Admission>)>& answer) {
  RecoveredSecret found;
  for (size_t next = 0; next < kDegree; ++found.calls) {
    std::vector<match::Admission> call;
    std::vector<size_t> firsts;
    for (; next < kDegree && call.size() < kAdmissionsPerCall; next += kTogether) {
      call.push_back(ask_for(parameters, tenant, next));
      firsts.push_back(next);
    }
    const std::vector<double> lengths = answer(call);
    for (size_t a = 0; a < lengths.size(); ++a) {
      int sum = explain(lengths[a]);
      for (size_t i = firsts[a]; i < std::min(firsts[a] + kTogether, kDegree); ++i) {
        found.coefficients[i] = (sum + 13) % 3 - 1;
        sum = (sum - found.coefficients[i]) / 3;
      }
    }
  }
  return found;
}

RecoveredSecret read_implausible(
    const match::Parameters& parameters, const ckks::KeyId& tenant, double plausible,
    const std::function<std::vector<match::Position>(const match::ScoreRequest&)>& answer) {
  const double scale = parameters.score_scale();
  match::ScoreRequest request{.key_id = tenant, .blocks = {}};
  for (const int sign : {1, -1}) {
    const std::vector<int64_t> c0(kDegree,
                                  std::llround((plausible - 0.05 + match::kScoreOffset) * scale));
    std::vector<int64_t> c1(kDegree);
    c1[0] = sign * std::llround(0.1 * scale);
    match::ScoreBlock block{make(parameters, tenant, 1, c0, c1, scale), {}};
    block.live.fill(0xff);
    request.blocks.push_back(std::move(block));
  }
  RecoveredSecret found{.calls = 1};
  for (const match::Position& position : answer(request))
    found.coefficients[position.coefficient] = position.block == 0 ? 1 : -1;
  return found;
}

}  // namespace bauta
