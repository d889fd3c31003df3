// Hybrid key switching (Han, Ki: "Better bootstrapping for approximate homomorphic encryption",
// CT-RSA 2020), with hoisting: the expensive half, the decomposition, is done once per ciphertext
// and shared by all keys applied to it.
#pragma once

#include "ckks/keys.h"
#include "ring/base_conversion.h"

namespace bauta::ckks {

// A polynomial cut into digits, each extended to all moduli of a key switch.
struct Decomposition {
  std::vector<ring::EvaluationPolynomial> digits;
};

// Two polynomials over the same basis; (u0, u1) stands for u0 + u1*s.
struct PolynomialPair {
  ring::EvaluationPolynomial u0, u1;
};

// The precomputed constants of one shape; immutable.
class KeySwitcher {
 public:
  // Precondition: check_shape(parameters, shape).
  KeySwitcher(const Parameters& parameters, const KeySwitchShape& shape);

  const KeySwitchShape& shape() const { return shape_; }
  // The limbs, then the special moduli.
  const ring::Basis& extended_basis() const { return extended_; }

  // Precondition: the polynomial has exactly shape().limbs limbs.
  Decomposition decompose(const ring::CoefficientPolynomial& polynomial,
                          ThreadPool* pool = nullptr) const;
  Decomposition decompose(const ring::EvaluationPolynomial& polynomial,
                          ThreadPool* pool = nullptr) const;

  // P times what was decomposed, now under key.to, over extended_basis(). Precondition:
  // key.shape.serves(shape()).
  PolynomialPair apply_key(const Decomposition& decomposition, const SwitchingKey& key,
                           ThreadPool* pool = nullptr) const;

  // target += P * addend: the special limbs stay as they are. target is over extended_basis().
  void add_times_special(ring::EvaluationPolynomial& target,
                         const ring::EvaluationPolynomial& addend) const;

  // Divides by P and rounds: over the first shape().limbs moduli again.
  ring::EvaluationPolynomial divide_by_special(ring::EvaluationPolynomial&& polynomial,
                                               ThreadPool* pool = nullptr) const {
    return division_.apply(std::move(polynomial), pool);
  }
  PolynomialPair divide_by_special(PolynomialPair&& pair, ThreadPool* pool = nullptr) const;

  // decompose, apply_key, divide_by_special.
  template <ring::Form form>
  PolynomialPair switch_key(const ring::RnsPolynomial<form>& polynomial, const SwitchingKey& key,
                            ThreadPool* pool = nullptr) const {
    return divide_by_special(apply_key(decompose(polynomial, pool), key, pool), pool);
  }

 private:
  struct Digit {
    size_t begin, end;              // its primes among the limbs
    ring::BaseConverter converter;  // to all other moduli of the extended basis, in order
  };
  Decomposition decompose(const ring::CoefficientPolynomial& coefficients,
                          const ring::EvaluationPolynomial* values, ThreadPool* pool) const;

  KeySwitchShape shape_;
  ring::Basis extended_;
  std::vector<Digit> digits_;
  std::vector<simd::ShoupFactor> special_product_;  // P modulo every limb
  ring::RoundedDivision division_;
};

}  // namespace bauta::ckks
