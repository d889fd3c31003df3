// The attack on the secret key by crafted ciphertexts and the answers to them: it succeeds where
// ciphertexts under the tenant's key are taken, and gets nothing where every edge has its own.
//
// The second test goes through the server's real code, from the bytes of the probe to the masked
// score, and through the key service's decryption and reading; tokens, tickets and logs, which
// would end the attack after some twenty answers, are left out to let it have all of its tries.

#include <algorithm>
#include <atomic>
#include <numeric>

#include <gtest/gtest.h>

#include "base/thread_pool.h"
#include "match/admission.h"
#include "match/test_tenant.h"

namespace bauta {
namespace {

using match::kDegree;
using match::must;

constexpr size_t kDimension = 64;
constexpr double kThreshold = 0.6;

class SecretRecoveryTest : public testing::Test {
 protected:
  int secret(size_t i) const { return tenant_.tenant.coefficients().data()[i]; }

  // What the key service says to it.
  bool is_admitted(const match::SwitchedProbe& probe) const {
    const match::Admission admission = must(match::make_admission(*tenant_.keys, probe));
    return tenant_.check(admission).ok();
  }

  match::TestTenant tenant_{kDimension};
};

// The phase c0 + c1*s with c0 = constant at X^0 and c1 = C*X^a shows coefficient -a of s, and the
// threshold says its sign: two answers for each coefficient.
TEST_F(SecretRecoveryTest, SucceedsWhereCiphertextsUnderTheTenantsKeyAreTaken) {
  const match::Parameters& parameters = tenant_.parameters;
  const ring::Basis basis = parameters.ring().ciphertext_moduli();
  const double scale = parameters.probe_scale();
  const auto step = static_cast<int64_t>(0.02 * scale);
  int answers = 0;
  const auto accepted = [&](size_t exponent, int64_t factor) {
    ++answers;
    std::vector<int64_t> c0(kDegree), c1(kDegree);
    c0[0] = static_cast<int64_t>(kThreshold * scale) - step / 2;
    c1[exponent] = factor;
    const ckks::CoefficientCiphertext crafted{
        ring::from_signed(c0, basis), ring::from_signed(c1, basis), scale, tenant_.tenant.id()};
    const auto phase = must(secret::decrypt(tenant_.tenant, crafted));
    const uint32_t residue = phase.limb(0)[0], modulus = parameters.ring().primes()[0];
    const double value = residue > modulus / 2 ? static_cast<double>(residue) - modulus
                                               : static_cast<double>(residue);
    return value / scale >= kThreshold;  // against the enrolment (1, 0, ..., 0)
  };
  size_t right = 0;
  for (size_t a = 0; a < kDegree; ++a) {
    const int shown = accepted(a, step) ? 1 : accepted(a, -step) ? -1 : 0;
    const int recovered = a == 0 ? shown : -shown;
    right += recovered == secret(a == 0 ? 0 : kDegree - a) ? 1 : 0;
  }
  EXPECT_EQ(right, kDegree);
  EXPECT_LT(answers, 2 * static_cast<int>(kDegree));
}

// An edge may choose the seed of its ciphertext, and through its own key what it decrypts to: a
// unit template whose score lies on the threshold, so that the answer is decided by the noise, the
// one thing in which the tenant's key has a part. It adds up the uniform halves by the answers.
TEST_F(SecretRecoveryTest, GetsNothingInAHundredThousandTries) {
  constexpr size_t kTries = 100'000, kParts = 100;
  const match::Parameters& parameters = tenant_.parameters;
  match::Embedding own(kDimension), probe(kDimension);
  own[0] = 1;
  probe[0] = static_cast<float>(kThreshold);
  probe[1] = std::sqrt(1 - probe[0] * probe[0]);
  const match::StoredReference reference = tenant_.reference(own);
  const match::TemplatePolynomial message = must(match::encode_probe(parameters, probe));

  const auto score_of = [&](const match::SwitchedProbe& switched) {
    const match::Search search = must(match::compare_one(*tenant_.keys, switched, 0, reference));
    return tenant_.read(search.request).best()->score;
  };
  const auto craft = [&] {
    return must(secret::encrypt(tenant_.edge, message.span(), 2, parameters.probe_scale()));
  };
  const auto send = [&](const ckks::SeededCiphertext& crafted) {
    return must(tenant_.keys->admit_probe(match::serialize_probe(parameters, crafted)));
  };
  // The noise of the reference is always the same: the attacker aims so that every second answer
  // is yes, which is as good as moving the threshold.
  std::vector<double> aimed;
  for (int i = 0; i < 201; ++i) aimed.push_back(score_of(send(craft())));
  std::ranges::nth_element(aimed, aimed.begin() + 100);
  const double threshold = aimed[100];

  std::vector<std::vector<double>> sums(kParts, std::vector<double>(kDegree));
  std::atomic<size_t> accepted = 0, admitted = 0;
  const auto attack = [&](size_t part) {
    for (size_t i = 0; i < kTries / kParts; ++i) {
      const ckks::SeededCiphertext crafted = craft();
      const match::SwitchedProbe switched = send(crafted);
      if (i == 0) admitted += is_admitted(switched) ? 1 : 0;
      const bool answer = score_of(switched) >= threshold;
      accepted += answer ? 1 : 0;
      const ring::CoefficientPolynomial uniform = expand(crafted).c1;
      const double modulus = parameters.ring().primes()[0];
      for (size_t j = 0; j < kDegree; ++j) {
        const double centred = uniform.limb(0)[j] / modulus - 0.5;
        // c1[j] meets coefficient -j of the secret in coefficient 0 of the product.
        sums[part][(kDegree - j) % kDegree] += (answer == (j == 0)) ? centred : -centred;
      }
    }
  };
  ThreadPool pool(2);
  pool.parallel_for(kParts, [&](size_t begin, size_t end) {
    for (size_t part = begin; part < end; ++part) attack(part);
  });
  EXPECT_EQ(admitted, kParts) << "its templates are of unit norm, and in their place";
  // The noise decides: else there would be nothing to learn from an answer.
  EXPECT_GT(accepted, kTries / 20);
  EXPECT_LT(accepted, kTries - kTries / 20);

  std::vector<double> total(kDegree);
  for (const auto& part : sums)
    for (size_t i = 0; i < kDegree; ++i) total[i] += part[i];
  std::vector<size_t> order(kDegree);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return total[i]; });
  size_t right = 0;
  for (size_t rank = 0; rank < kDegree; ++rank) {
    const int guess = rank < kDegree / 3 ? -1 : rank >= kDegree - kDegree / 3 ? 1 : 0;
    right += guess == secret(order[rank]) ? 1 : 0;
  }
  // A third is what guessing gets; five standard deviations.
  const double expected = kDegree / 3.0, deviation = std::sqrt(kDegree * 2.0 / 9);
  EXPECT_LT(std::abs(static_cast<double>(right) - expected), 5 * deviation);
  RecordProperty("coefficients_guessed", static_cast<int>(right));
}

}  // namespace
}  // namespace bauta
