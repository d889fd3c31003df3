#include <algorithm>
#include <cmath>
#include <random>

#include "ckks/key_switching.h"
#include "match/test_tenant.h"
#include "tests/attacks/laboratory/noise.h"

namespace bauta::laboratory {
namespace {

using match::kDegree;
using match::must;

constexpr size_t kDimension = 64;
constexpr double kThreshold = 0.6;

// The two special primes, by which a key switch divides: what it rounds off is between -1/2 and
// 1/2.
class Rounding {
 public:
  explicit Rounding(const ckks::Parameters& ring)
      : p0_(ring.special_primes()[0]), p1_(ring.special_primes()[1]) {
    uint64_t base = p0_ % p1_;
    for (uint64_t exponent = p1_ - 2; exponent != 0; exponent >>= 1, base = base * base % p1_)
      if ((exponent & 1) != 0) inverse_ = inverse_ * base % p1_;
  }
  // Of coefficient j, whose residues stand in limbs 2 and 3.
  double operator()(const ring::CoefficientPolynomial& u, size_t j) const {
    const uint64_t a0 = u.limb(2)[j], a1 = u.limb(3)[j];
    const uint64_t x = a0 + p0_ * ((a1 + p1_ - a0 % p1_) % p1_ * inverse_ % p1_);
    const double part =
        static_cast<double>(x) / (static_cast<double>(p0_) * static_cast<double>(p1_));
    return part > 0.5 ? 1 - part : -part;
  }

 private:
  uint64_t p0_, p1_, inverse_ = 1;
};

// A passive copy of an honest authentication server, and an edge that verifies a face of its own
// just at the threshold.
class Copy {
 public:
  struct Observation {
    std::vector<float> form;
    double offset = 0, score = 0;
  };

  Observation decide() {
    const ckks::SeededCiphertext sent =
        must(secret::encrypt(tenant_.edge, message_.span(), 2, tenant_.parameters.probe_scale()));
    const match::SwitchedProbe switched =
        must(tenant_.keys->admit_probe(match::serialize_probe(tenant_.parameters, sent)));
    const match::Search search = must(match::compare_one(*tenant_.keys, switched, 0, reference_));
    Observation seen{std::vector<float>(kDegree), 0, 0};
    seen.score = tenant_.read(search.request).best()->score;
    observe(sent, seen);
    return seen;
  }
  std::span<const int8_t> secret() const { return {tenant_.tenant.coefficients().data(), kDegree}; }

  // What one unit of the probe's noise is in the score.
  double unit() const {
    const match::Parameters& parameters = tenant_.parameters;
    return static_cast<double>(kDimension) * parameters.reference_scale() /
           parameters.ring().primes()[1] / parameters.score_scale();
  }

 private:
  // Its own error, which the edge knows, and the rounding of the switch, which the server's memory
  // shows: coefficient 0 of rounding1 * secret + rounding0.
  void observe(const ckks::SeededCiphertext& sent, Observation& seen) const {
    const auto whole = expand(sent);
    const auto own = must(secret::decrypt(tenant_.edge, whole));
    const int64_t modulus = tenant_.parameters.ring().primes()[0];
    int64_t error = int64_t{own.limb(0)[0]} - message_.span()[0];
    if (error > modulus / 2) error -= modulus;
    const auto c0 = to_evaluation(whole.c0.clone());
    const ckks::KeySwitcher& switcher = tenant_.keys->switcher();
    auto pair = switcher.switch_key_extended(switcher.decompose(whole.c1), key_, {.addend = &c0});
    const auto u0 = to_coefficient(std::move(pair.u0)), u1 = to_coefficient(std::move(pair.u1));
    seen.offset = static_cast<double>(error) + rounding_(u0, 0);
    for (size_t j = 0; j < kDegree; ++j)
      seen.form[j] = static_cast<float>(j == 0 ? rounding_(u1, 0) : -rounding_(u1, kDegree - j));
  }
  static match::Embedding own_face() {
    match::Embedding own(kDimension);
    own[0] = 1;
    return own;
  }
  static match::Embedding at_threshold() {
    match::Embedding probe(kDimension);
    probe[0] = static_cast<float>(kThreshold);
    probe[1] = std::sqrt(1 - probe[0] * probe[0]);
    return probe;
  }

  match::TestTenant tenant_{kDimension};
  match::StoredReference reference_ = tenant_.reference(own_face());
  match::TemplatePolynomial message_ =
      must(match::encode_probe(tenant_.parameters, at_threshold()));
  ckks::SwitchingKey key_ = must(ckks::parse_switching_key(
      tenant_.parameters.ring(), match::key_shape(tenant_.parameters), tenant_.edge_switching_key));
  Rounding rounding_{tenant_.parameters.ring()};
};

}  // namespace

Verdict read_with_ciphertexts(const NoiseAttack& attack) {
  Copy copy;
  std::vector<Copy::Observation> seen;
  for (size_t i = 0; i < attack.decisions; ++i) seen.push_back(copy.decide());
  // The reference's own noise is always the same; the attacker moves its aim until half is yes.
  std::vector<double> scores;
  for (const auto& one : seen) scores.push_back(one.score);
  const auto middle = scores.begin() + static_cast<std::ptrdiff_t>(scores.size() / 2);
  std::ranges::nth_element(scores, middle);
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  Decisions decisions(kDegree);
  decisions.forms.reserve(seen.size() * kDegree);
  double spread = 0;
  for (const auto& one : seen) {
    decisions.add(one.form, one.offset, one.score - *middle + attack.flood * normal(random) >= 0);
    spread += (one.score - *middle) * (one.score - *middle) / static_cast<double>(seen.size());
  }
  const double rest = std::sqrt(spread) * std::sqrt(1 - 0.97 * 0.97);
  return judge(read_secret(decisions, std::hypot(rest, attack.flood) / copy.unit()), copy.secret());
}

}  // namespace bauta::laboratory
