#include "tests/attacks/laboratory/noise.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace bauta::laboratory {
namespace {

constexpr size_t kCoefficients = 4096;
constexpr double kScoreDeviation = 2.4e-7, kExplained = 0.97;

}  // namespace

Verdict read_in_numbers(const NoiseAttack& attack, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int8_t> secret(kCoefficients);
  for (int8_t& s : secret) s = static_cast<int8_t>(static_cast<int>(random() % 3) - 1);
  // <form, secret> has this deviation.
  const double explained = std::sqrt(kCoefficients * 2.0 / 3 / 12);
  const double rest = explained * std::sqrt(1 / (kExplained * kExplained) - 1);
  const double noise = std::hypot(rest, attack.flood / kScoreDeviation * explained / kExplained);
  std::normal_distribution<double> normal;
  Decisions decisions(kCoefficients);
  decisions.forms.reserve(attack.decisions * kCoefficients);
  std::vector<float> form(kCoefficients);
  for (size_t i = 0; i < attack.decisions; ++i) {
    double value = 0;
    for (size_t j = 0; j < kCoefficients; j += 8) {
      uint64_t bits = random();
      for (size_t k = j; k < j + 8; ++k, bits >>= 8) {
        form[k] = (static_cast<float>(bits & 255) + 0.5f) / 256 - 0.5f;
        value += static_cast<double>(form[k]) * secret[k];
      }
    }
    decisions.add(form, 0, value + noise * normal(random) >= 0);
  }
  return judge(read_secret(decisions, noise), secret);
}

}  // namespace bauta::laboratory
