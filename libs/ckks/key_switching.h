// Hybrid key switching (Han, Ki: "Better bootstrapping for approximate homomorphic encryption",
// CT-RSA 2020), with hoisting: the expensive half, the decomposition, can be done once per
// ciphertext and shared by all keys applied to it.
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

// How a key switch ends.
struct KeySwitchEnd {
  // Added to the first half: the other half of the ciphertext that is switched. Null: nothing.
  const ring::EvaluationPolynomial* addend = nullptr;
  // Then X -> X^element on both halves, as a Galois key wants it.
  uint32_t element = 1;
};

// The precomputed constants of one shape; immutable.
//
// The work goes limb by limb, all steps of a limb one after the other while it is in the cache. A
// polynomial to switch has exactly shape().limbs limbs, and a key's shape serves shape().
class KeySwitcher {
 public:
  // Precondition: check_shape(parameters, shape).
  KeySwitcher(const Parameters& parameters, const KeySwitchShape& shape);

  const KeySwitchShape& shape() const { return shape_; }
  // The limbs, then the special moduli.
  const ring::Basis& extended_basis() const { return extended_; }

  Decomposition decompose(const ring::CoefficientPolynomial& polynomial,
                          ThreadPool* pool = nullptr) const;
  Decomposition decompose(const ring::EvaluationPolynomial& polynomial,
                          ThreadPool* pool = nullptr) const;

  // To the secret key.to, over the first shape().limbs moduli.
  PolynomialPair switch_key(const Decomposition& decomposition, const SwitchingKey& key,
                            KeySwitchEnd end = {}, ThreadPool* pool = nullptr) const;
  PolynomialPair switch_key(const ring::CoefficientPolynomial& polynomial, const SwitchingKey& key,
                            KeySwitchEnd end = {}, ThreadPool* pool = nullptr) const;
  PolynomialPair switch_key(const ring::EvaluationPolynomial& polynomial, const SwitchingKey& key,
                            KeySwitchEnd end = {}, ThreadPool* pool = nullptr) const;

  // The same times P, over extended_basis(): the division is left out, and P * addend is added.
  PolynomialPair switch_key_extended(const Decomposition& decomposition, const SwitchingKey& key,
                                     KeySwitchEnd end = {}, ThreadPool* pool = nullptr) const;
  // Modulus number j of that. scratch: three limbs.
  void switch_key_extended(const Decomposition& decomposition, const SwitchingKey& key,
                           KeySwitchEnd end, size_t j, ring::Limb out0, ring::Limb out1,
                           ring::Limb scratch) const;
  // P * polynomial over extended_basis().
  ring::EvaluationPolynomial multiply_by_special(
      const ring::EvaluationPolynomial& polynomial) const;
  // Modulus number j of that.
  void multiply_by_special(const ring::EvaluationPolynomial& polynomial, size_t j,
                           ring::Limb out) const;
  // Divides by P and rounds.
  ring::EvaluationPolynomial divide_by_special(ring::EvaluationPolynomial&& polynomial,
                                               ThreadPool* pool = nullptr) const {
    return division_.apply(std::move(polynomial), pool);
  }

 private:
  struct Digit {
    size_t begin, end;              // its primes among the limbs
    ring::BaseConverter converter;  // to all other moduli of the extended basis, in order
  };
  class StoredDigits;
  class FreshDigits;

  template <typename Digits>
  PolynomialPair run(const Digits& digits, const SwitchingKey& key, KeySwitchEnd end,
                     ThreadPool* pool) const;
  // Modulus number j of digits times both halves of the key.
  template <typename Digits>
  void multiply_digits(const Digits& digits, const SwitchingKey& key, size_t j, ring::Limb out0,
                       ring::Limb out1, ring::Limb scratch) const;

  KeySwitchShape shape_;
  ring::Basis extended_;
  std::vector<Digit> digits_;
  std::vector<simd::ShoupFactor> special_product_;  // P modulo every limb
  ring::RoundedDivision division_;
};

}  // namespace bauta::ckks
