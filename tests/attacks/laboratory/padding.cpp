#include "tests/attacks/laboratory/padding.h"

#include <cstdlib>
#include <random>

namespace bauta::laboratory {
namespace {

// Two primes as the gallery's ring has them, and the check's limits (libs/match/admission.cpp).
constexpr uint64_t kModulus = 1073692673ULL * 1073668097ULL;
constexpr int64_t kLargestWeight = 1 << 16;
constexpr double kLargestProjection = 6 * 37837.0 * (1 << 26);  // times the longest template

}  // namespace

std::vector<uint64_t> passing(uint64_t tries, unsigned projections, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint64_t> passed(projections);
  for (uint64_t i = 0; i < tries; ++i) {
    for (unsigned shown = 0; shown < projections; ++shown) {
      const int64_t weight =
          static_cast<int64_t>(random() & (2 * kLargestWeight - 1)) - kLargestWeight;
      __extension__ using Wide = unsigned __int128;
      const auto size = static_cast<Wide>(std::abs(weight));
      const auto residue = static_cast<uint64_t>(size * (kModulus / 2) % kModulus);
      const uint64_t distance = residue > kModulus / 2 ? kModulus - residue : residue;
      if (static_cast<double>(distance) > kLargestProjection) break;
      ++passed[shown];
    }
  }
  return passed;
}

}  // namespace bauta::laboratory
