// The secret out of the noise: IND-CPA-D (Li, Micciancio, Eurocrypt 2021). Whoever sees what an
// honest authentication server sees, and has an edge whose probes score at the threshold, knows the
// error of each score as a linear form of the tenant's secret: the rounding of the key switch is
// computed from what is public. The decision tells its sign. Nothing is malformed.
//
// The server's path from the bytes of the probe to the masked score, the decryption and the reading
// are the real ones. BAUTA_ATTACK_ANSWERS says how many answers the attack has; by itself it takes
// some that fit a test.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ckks/key_switching.h"
#include "match/test_tenant.h"
#include "tests/attacks/crafted_ciphertexts.h"

namespace bauta {
namespace {

using match::kDegree;
using match::must;

constexpr size_t kDimension = 64;
constexpr float kThreshold = 0.6f;

size_t wanted_answers() {
  const char* const text = std::getenv("BAUTA_ATTACK_ANSWERS");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 4'000;
}

// What is known of one answer: weights . secret + constant is the error of the score, up to what is
// the same in all answers; the weights are in [-1/2, 1/2], in steps of 1/kSteps.
struct Knowledge {
  static constexpr float kSteps = 254;
  std::vector<int8_t> weights;  // kDegree for each answer
  std::vector<float> constants;
};

// u divided by P leaves this fraction of P, for coefficient j of the special limbs.
class Remainders {
 public:
  explicit Remainders(const ring::Basis& special)
      : first_(special.modulus(0)), second_(special.modulus(1)) {
    inverse_of_second_ = first_.inverse(first_.reduce(second_.value()));
    inverse_of_first_ = second_.inverse(second_.reduce(first_.value()));
  }
  // Rounded to the nearest integer, the quotient is too small by this, in [-1/2, 1/2].
  double lost(uint32_t in_first, uint32_t in_second) const {
    const double part =
        static_cast<double>(first_.multiply(in_first, inverse_of_second_)) / first_.value() +
        static_cast<double>(second_.multiply(in_second, inverse_of_first_)) / second_.value();
    return part - std::round(part);
  }

 private:
  ring::Modulus first_, second_;
  uint32_t inverse_of_first_, inverse_of_second_;
};

class NoiseTest : public testing::Test {
 protected:
  // Decisions at the threshold; their scores, and what the attacker knows of them.
  void collect(size_t answers) {
    const match::Parameters& parameters = tenant_.parameters;
    match::Embedding own(kDimension), probe(kDimension);
    own[0] = 1;
    probe[0] = kThreshold;
    probe[1] = std::sqrt(1 - kThreshold * kThreshold);
    const match::StoredReference reference = tenant_.reference(own);
    const match::TemplatePolynomial message = must(match::encode_probe(parameters, probe));
    const auto switching_key = must(ckks::parse_switching_key(
        parameters.ring(), match::key_shape(parameters), tenant_.edge_switching_key));
    const Remainders remainders(special_moduli());
    const SecretBytes flood_seed = match::insecure_seed(99);

    exact_.resize(answers);
    flooded_.resize(answers);
    known_.weights.resize(answers * kDegree);
    known_.constants.resize(answers);
    const auto collect_one = [&](size_t i) {
      const ckks::SeededCiphertext sent =
          must(secret::encrypt(tenant_.edge, message.span(), 2, parameters.probe_scale()));
      // The servers.
      const match::SwitchedProbe switched =
          must(tenant_.keys->admit_probe(match::serialize_probe(parameters, sent)));
      const match::Search search = must(match::compare_one(*tenant_.keys, switched, 0, reference));
      const match::ScoreBlock& block = search.request.blocks.front();
      const std::vector<uint32_t> residues = tenant_.decrypt(block);
      Digest ticket;
      random_bytes(ticket);
      match::ScoreReader exact(parameters, 1, 2),
          flooded(parameters, 1, 2, must(match::Flood::create(flood_seed, ticket)));
      exact.read(0, residues, block.live);
      flooded.read(0, residues, block.live);
      exact_[i] = exact.best()->score;
      flooded_[i] = flooded.best()->score;
      // The attacker: the noise of his own edge, and what the key switch rounds away.
      const ckks::CoefficientCiphertext whole = expand(sent);
      const auto opened = must(secret::decrypt(tenant_.edge, whole));
      const int64_t modulus = parameters.ring().primes()[0];
      int64_t noise = (int64_t{opened.limb(0)[0]} - message.span()[0]) % modulus;
      if (noise > modulus / 2) noise -= modulus;
      if (noise < -modulus / 2) noise += modulus;
      const ring::EvaluationPolynomial c0 = to_evaluation(whole.c0.clone());
      const ckks::KeySwitcher& switcher = tenant_.keys->switcher();
      ckks::PolynomialPair extended = switcher.switch_key_extended(switcher.decompose(whole.c1),
                                                                   switching_key, {.addend = &c0});
      const auto u0 = to_coefficient(std::move(extended.u0));
      const auto u1 = to_coefficient(std::move(extended.u1));
      known_.constants[i] = static_cast<float>(static_cast<double>(noise) -
                                               remainders.lost(u0.limb(2)[0], u0.limb(3)[0]));
      for (size_t j = 0; j < kDegree; ++j) {
        // Coefficient j of the secret meets coefficient -j in coefficient 0 of the product.
        const size_t at = (kDegree - j) % kDegree;
        const double lost = remainders.lost(u1.limb(2)[at], u1.limb(3)[at]);
        known_.weights[i * kDegree + j] =
            static_cast<int8_t>(std::lround((j == 0 ? -lost : lost) * Knowledge::kSteps));
      }
    };
    threads_.parallel_for(answers, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) collect_one(i);
    });
  }
  ring::Basis special_moduli() const { return tenant_.parameters.ring().special_moduli(); }

  // How much the error that the attacker computes with the true secret has to do with the score.
  double correlation(const std::vector<double>& scores) const {
    double sums[5] = {};
    for (size_t i = 0; i < scores.size(); ++i) {
      double error = known_.constants[i];
      for (size_t j = 0; j < kDegree; ++j)
        error += known_.weights[i * kDegree + j] / double{Knowledge::kSteps} *
                 tenant_.tenant.coefficients().data()[j];
      const double score = (scores[i] - kThreshold) * 1e6;
      sums[0] += error, sums[1] += score, sums[2] += error * error, sums[3] += score * score,
          sums[4] += error * score;
    }
    const auto n = static_cast<double>(scores.size());
    return (sums[4] - sums[0] * sums[1] / n) /
           std::sqrt((sums[2] - sums[0] * sums[0] / n) * (sums[3] - sums[1] * sums[1] / n));
  }

  struct Wrong {
    size_t by_correlation = 0, by_regression = 0;
  };
  // Sign regression for coefficients of -1, 0 and 1: from the means that the answers so far give,
  // how surprising is each answer (a probit), and what does that say of each coefficient; the first
  // round is the plain correlation of answers and weights. `deviation`: of the flood, in units of
  // the key switch's noise.
  Wrong attack(const std::vector<double>& scores, double deviation) {
    std::vector<double> sorted = scores;
    std::ranges::nth_element(sorted, sorted.begin() + std::ssize(sorted) / 2);
    // He moves his probe until half of the answers are yes.
    const double aimed = sorted[sorted.size() / 2];
    std::vector<float> answers;
    for (const double score : scores) answers.push_back(score >= aimed ? 1.0f : -1.0f);

    constexpr double kWeightVariance = 1.0 / 12, kDamping = 0.5;
    constexpr int kRounds = 40;
    std::vector<float> means(kDegree), seen(kDegree);
    double left = 2.0 / 3;  // mean variance of a coefficient
    Wrong wrong;
    for (int round = 0; round < kRounds; ++round) {
      const double spread =
          std::sqrt(kDegree * kWeightVariance * left + kOwn * kOwn + deviation * deviation);
      const std::vector<float> errors = predict(means);
      std::vector<float> middle = errors;
      std::ranges::nth_element(middle, middle.begin() + std::ssize(middle) / 2);
      const float bias = middle[middle.size() / 2];
      std::vector<float> surprises(errors.size());
      double information = 0;
      for (size_t i = 0; i < errors.size(); ++i) {
        const double t = answers[i] * (errors[i] - bias) / spread;
        const double likelihood = 0.5 * std::erfc(-t / std::numbers::sqrt2);
        const double slope =
            t < -6 ? -t : std::exp(-t * t / 2) / std::sqrt(2 * std::numbers::pi) / likelihood;
        information += slope * (slope + t) / (spread * spread);
        surprises[i] = static_cast<float>(answers[i] * slope / spread);
      }
      const double variance = 1 / (information * kWeightVariance);
      const std::vector<float> pull = gather(surprises);
      left = 0;
      for (size_t j = 0; j < kDegree; ++j) {
        seen[j] = static_cast<float>(means[j] + variance * pull[j]);
        const double plus = std::exp(std::min(50.0, (seen[j] - 0.5) / variance));
        const double minus = std::exp(std::min(50.0, (-seen[j] - 0.5) / variance));
        const double mean = (plus - minus) / (1 + plus + minus);
        left += ((plus + minus) / (1 + plus + minus) - mean * mean) / kDegree;
        means[j] += static_cast<float>(kDamping * (mean - means[j]));
      }
      left = std::max(left, 1e-5);
      if (round == 0) wrong.by_correlation = count_wrong(seen);
    }
    wrong.by_regression = count_wrong(seen);
    return wrong;
  }

  // Of what the forms say, without the bias.
  std::vector<float> predict(const std::vector<float>& means) {
    std::vector<float> errors(known_.constants.size());
    threads_.parallel_for(errors.size(), [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const int8_t* const weights = known_.weights.data() + i * kDegree;
        float sum = 0;
        for (size_t j = 0; j < kDegree; ++j) sum += static_cast<float>(weights[j]) * means[j];
        errors[i] = known_.constants[i] + sum / Knowledge::kSteps;
      }
    });
    return errors;
  }
  std::vector<float> gather(const std::vector<float>& surprises) {
    std::vector<float> pull(kDegree);
    threads_.parallel_for(kDegree / 64, [&](size_t begin, size_t end) {
      for (size_t i = 0; i < surprises.size(); ++i)
        for (size_t j = 64 * begin; j < 64 * end; ++j)
          pull[j] += surprises[i] * static_cast<float>(known_.weights[i * kDegree + j]) /
                     Knowledge::kSteps;
    });
    return pull;
  }
  // The likeliest of -1, 0 and 1.
  size_t count_wrong(const std::vector<float>& seen) const {
    size_t wrong = 0;
    for (size_t j = 0; j < kDegree; ++j) {
      const int guess = seen[j] > 0.5f ? 1 : seen[j] < -0.5f ? -1 : 0;
      wrong += guess != tenant_.tenant.coefficients().data()[j] ? 1 : 0;
    }
    return wrong;
  }

  // One unit of the probe's noise in a score, and the noise that the attacker does not know, in
  // such units.
  double unit() const {
    const match::Parameters& parameters = tenant_.parameters;
    return kDimension * parameters.reference_scale() / parameters.ring().primes()[1] /
           parameters.score_scale();
  }
  static constexpr double kOwn = 4;

  match::TestTenant tenant_{kDimension};
  ThreadPool threads_{available_processors()};
  std::vector<double> exact_, flooded_;
  Knowledge known_;
};

TEST_F(NoiseTest, IsTheSecretWithoutTheFloodAndNothingWithIt) {
  const size_t answers = wanted_answers();
  collect(answers);
  EXPECT_GT(correlation(exact_), 0.9) << "the attacker computes the error wrongly";
  EXPECT_LT(std::abs(correlation(flooded_)), 5 / std::sqrt(static_cast<double>(answers)));

  const Wrong without = attack(exact_, 0);
  const Wrong with = attack(flooded_, match::kFloodDeviation / unit());
  // Told that there is no flood, it must not see more.
  const Wrong told_wrongly = attack(flooded_, 0);
  fmt::print(
      "{} answers, coefficients wrong of {} (guessing: {:.0f}):\n"
      "  without flood {} by correlation, {} by regression (correlation of error and score "
      "{:.3f})\n"
      "  with flood    {} by correlation, {} by regression ({} if told that there is none)\n",
      answers, kDegree, kGuessedWrong, without.by_correlation, without.by_regression,
      correlation(exact_), with.by_correlation, with.by_regression, told_wrongly.by_regression);
  EXPECT_LT(without.by_correlation, kGuessedWrong - 6 * kGuessedWrongDeviation);
  EXPECT_LT(without.by_regression, kGuessedWrong - 20 * kGuessedWrongDeviation);
  for (const size_t wrong : {with.by_correlation, with.by_regression, told_wrongly.by_regression})
    EXPECT_GT(static_cast<double>(wrong), kGuessedWrong - 3 * kGuessedWrongDeviation);
  RecordProperty("answers", static_cast<int>(answers));
  RecordProperty("wrong_without_flood", static_cast<int>(without.by_regression));
  RecordProperty("wrong_with_flood", static_cast<int>(with.by_regression));
}

}  // namespace
}  // namespace bauta
