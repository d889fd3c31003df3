// The automorphisms X -> X^g of the ring, g odd: slot rotations and conjugation of the schemes
// above.
#pragma once

#include <cstdint>
#include <vector>

#include "ring/polynomial.h"

namespace bauta::ring {

// The tables of one (N, g), about N/4 bytes, made once per process by `get` and kept until it ends.
class Automorphism {
 public:
  // Thread-safe. g is taken modulo 2N. Preconditions: g odd, log_degree in 10..16.
  static const Automorphism& get(size_t log_degree, uint64_t g);

  Automorphism(const Automorphism&) = delete;
  Automorphism& operator=(const Automorphism&) = delete;

  uint32_t exponent() const { return g_; }

  // One limb of p(X) to the same limb of p(X^g); out and in do not overlap. The evaluation form is
  // a permutation, the same for every modulus. Both are constant time.
  void apply_evaluation(Limb out, ConstLimb in) const;
  void apply_coefficient(Limb out, ConstLimb in, const Modulus& modulus) const;

 private:
  Automorphism(size_t log_degree, uint32_t g);

  size_t log_degree_;
  uint32_t g_;
  std::vector<uint32_t> blocks_;
  std::vector<uint32_t> patterns_;
  simd::PermutationConstants permutation_;
};

// p(X^g).
template <Form form>
RnsPolynomial<form> apply_automorphism(const RnsPolynomial<form>& polynomial, uint64_t g);

}  // namespace bauta::ring
