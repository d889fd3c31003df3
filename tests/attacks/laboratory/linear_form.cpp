#include "tests/attacks/laboratory/linear_form.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace bauta::laboratory {
namespace {

constexpr float kFormScale = 256;
constexpr double kFormVariance = 1.0 / 12;

double density(double z) {
  return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
}
double below(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

float form_product(const int8_t* form, const float* x, size_t size) {
  float sum = 0;
  for (size_t j = 0; j < size; ++j) sum += static_cast<float>(form[j]) * x[j];
  return sum / kFormScale;
}
void add_form(float* sum, float factor, const int8_t* form, size_t size) {
  factor /= kFormScale;
  for (size_t j = 0; j < size; ++j) sum[j] += factor * static_cast<float>(form[j]);
}

// The secret is believed to be about `mean`, each coefficient as uncertain as `variance` says.
struct Belief {
  std::vector<float> mean;
  double variance = 2.0 / 3;
};

// What all answers say against the belief: the slope of their likelihood, and its curvature.
struct Slope {
  std::vector<float> slope;
  double curvature = 0;
};
Slope slope_of(const Decisions& decisions, const Belief& belief, double noise) {
  const size_t n = decisions.coefficients;
  const double width =
      std::sqrt(static_cast<double>(n) * kFormVariance * belief.variance + noise * noise);
  std::vector<double> forms(decisions.count());
  for (size_t i = 0; i < forms.size(); ++i)
    forms[i] = decisions.offsets[i] + form_product(&decisions.forms[i * n], belief.mean.data(), n);
  // The attacker aims so that half of the answers is yes; where that is, it sees.
  std::vector<double> sorted = forms;
  std::ranges::nth_element(sorted, sorted.begin() + static_cast<std::ptrdiff_t>(forms.size() / 2));
  const double middle = sorted[forms.size() / 2];
  Slope all{std::vector<float>(n), 0};
  for (size_t i = 0; i < forms.size(); ++i) {
    const double z = decisions.signs[i] * (forms[i] - middle) / width;
    const double ratio = z > -6 ? density(z) / below(z) : -z;
    all.curvature += ratio * (ratio + z) / (width * width);
    add_form(all.slope.data(), static_cast<float>(decisions.signs[i] * ratio / width),
             &decisions.forms[i * n], n);
  }
  return all;
}

int8_t nearest(double value) {
  return static_cast<int8_t>(value > 0.5 ? 1 : value < -0.5 ? -1 : 0);
}

// A third of each value, in the order of the evidence.
std::vector<int8_t> thirds(const std::vector<double>& evidence) {
  std::vector<size_t> order(evidence.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, {}, [&](size_t i) { return evidence[i]; });
  std::vector<int8_t> secret(evidence.size());
  const size_t third = evidence.size() / 3;
  for (size_t rank = 0; rank < third; ++rank) {
    secret[order[rank]] = -1;
    secret[order[order.size() - 1 - rank]] = 1;
  }
  return secret;
}

}  // namespace

void Decisions::add(std::span<const float> form, double offset, bool accepted) {
  for (const float entry : form)
    forms.push_back(static_cast<int8_t>(std::clamp(std::floor(entry * kFormScale), -128.f, 127.f)));
  offsets.push_back(static_cast<float>(offset));
  signs.push_back(accepted ? 1 : -1);
}

Reading read_secret(const Decisions& decisions, double noise, int iterations) {
  const size_t n = decisions.coefficients;
  Belief belief{std::vector<float>(n), 2.0 / 3};
  Reading reading{{}, std::vector<double>(n)};
  for (int iteration = 0; iteration < iterations; ++iteration) {
    const Slope all = slope_of(decisions, belief, noise);
    const double variance = 1 / std::max(all.curvature * kFormVariance, 1e-12);
    double left = 0;
    for (size_t j = 0; j < n; ++j) {
      const double seen = belief.mean[j] + all.slope[j] * variance;
      reading.evidence[j] = seen;
      const double plus = std::exp(std::clamp((2 * seen - 1) / (2 * variance), -60.0, 60.0));
      const double minus = std::exp(std::clamp((-2 * seen - 1) / (2 * variance), -60.0, 60.0));
      const double mean = (plus - minus) / (1 + plus + minus);
      left += (plus + minus) / (1 + plus + minus) - mean * mean;
      belief.mean[j] = static_cast<float>(0.5 * belief.mean[j] + 0.5 * mean);
    }
    const double before = belief.variance;
    belief.variance = std::max(0.5 * before + 0.5 * left / static_cast<double>(n), 1e-5);
    if (iteration > 8 && std::abs(belief.variance - before) < 1e-4 * before) break;
  }
  if (belief.variance > 0.4) {
    reading.secret = thirds(reading.evidence);
  } else {
    for (const float mean : belief.mean) reading.secret.push_back(nearest(mean));
  }
  return reading;
}

Verdict judge(const Reading& reading, std::span<const int8_t> secret) {
  const auto n = static_cast<double>(secret.size());
  Verdict verdict{.expected_wrong = n * 2 / 3, .deviation = std::sqrt(n * 2 / 9)};
  double both = 0, ours = 0, theirs = 0;
  const double mean = std::accumulate(reading.evidence.begin(), reading.evidence.end(), 0.0) / n;
  for (size_t j = 0; j < secret.size(); ++j) {
    verdict.wrong += reading.secret[j] != secret[j] ? 1 : 0;
    const double evidence = reading.evidence[j] - mean;
    both += evidence * secret[j];
    ours += evidence * evidence;
    theirs += secret[j] * secret[j];
  }
  verdict.correlation = std::sqrt(n) * both / std::sqrt(std::max(ours * theirs, 1e-300));
  return verdict;
}

}  // namespace bauta::laboratory
