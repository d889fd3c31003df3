// Primality and the search for moduli.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"

namespace bauta::ring {

// Moduli of the project are 1 modulo this, so that rings of every degree up to 65536 share them.
inline constexpr uint64_t kModulusStep = uint64_t{1} << 17;

// Deterministic, for every 64-bit value (Miller-Rabin with the first twelve primes as bases, which
// decides all values below 3.3 * 10^24: Sorenson and Webster, Math. Comp. 86, 2017).
bool is_prime(uint64_t value);

// The `count` largest primes below `bound` that are 1 modulo `step`, largest first. Error when
// there are fewer above 1.
Result<std::vector<uint32_t>> primes_below(uint32_t bound, size_t count,
                                           uint64_t step = kModulusStep);

// The primes nearest to `target` that are 1 modulo `step`, nearest first (of two equally near ones
// the smaller first), below 2^30: moduli for a scale that is to stay near 2^k. Error when there are
// fewer than `count`.
Result<std::vector<uint32_t>> primes_near(uint32_t target, size_t count,
                                          uint64_t step = kModulusStep);

}  // namespace bauta::ring
