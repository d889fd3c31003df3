// Bases and values that the tests of this folder share.
#pragma once

#include <random>
#include <vector>

#include "ring/polynomial.h"
#include "ring/primes.h"

namespace bauta::ring {

inline constexpr uint32_t kGalleryModuli[] = {1073479681, 1071513601, 8257537, 7340033};

inline Basis gallery_basis() {
  return Basis::create(12, kGalleryModuli).value();
}

// The `count` largest moduli.
inline Basis large_basis(size_t log_degree, size_t count) {
  return Basis::create(log_degree, primes_below(1u << 30, count).value()).value();
}

inline std::vector<uint32_t> random_residues(std::mt19937_64& random, size_t count, uint32_t q) {
  std::vector<uint32_t> values(count);
  for (uint32_t& value : values) value = static_cast<uint32_t>(random() % q);
  return values;
}

template <Form form>
RnsPolynomial<form> random_polynomial(std::mt19937_64& random, const Basis& basis) {
  auto polynomial = RnsPolynomial<form>::uninitialised(basis);
  for (size_t i = 0; i < basis.size(); ++i)
    for (uint32_t& word : polynomial.limb(i))
      word = static_cast<uint32_t>(random() % basis.modulus(i).value());
  return polynomial;
}

}  // namespace bauta::ring
