// Parameter sets for the tests of the scheme.
#pragma once

#include "ckks/parameters.h"
#include "ring/primes.h"

namespace bauta::ckks {

inline ParametersLiteral gallery_literal() {
  return {.degree = 4096, .primes = {1073479681, 1071513601}, .special_primes = {8257537, 7340033}};
}

// Toy set: `limbs` primes and `special` special primes at a small degree.
inline Parameters insecure_parameters(size_t degree, size_t limbs, size_t special) {
  const auto primes = *ring::primes_below(1u << 30, limbs + special);
  return *Parameters::insecure_create(
      {.degree = degree,
       .primes = {primes.begin(), primes.begin() + static_cast<long>(limbs)},
       .special_primes = {primes.begin() + static_cast<long>(limbs), primes.end()}});
}

}  // namespace bauta::ckks
