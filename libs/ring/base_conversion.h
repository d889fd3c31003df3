// From residues modulo some primes to residues modulo others, and division by moduli that are
// dropped.
#pragma once

#include <vector>

#include "ring/polynomial.h"

namespace bauta::ring {

// Extends x, given modulo P = p_1 ... p_k, to other moduli q_j, taking the representative of x in
// (-P/2, P/2). With y_i = x (P/p_i)^-1 mod p_i, that representative is sum y_i (P/p_i) - u P with u
// the rounded sum of y_i / p_i (Halevi, Polyakov, Shoup, CT-RSA 2019; here in integers, so that
// every machine gives the same bits). Exact, except that within k * 2^-30 of +-P/2 (relative to P)
// the representative on the other side may be taken; with k = 1 exact everywhere.
class BaseConverter {
 public:
  // k + 1 limbs: the y_i, then u. With k = 1, only x.
  struct Scaled {
    WordStorage words;
  };

  // Preconditions: the same degree; from.size() in 1..64.
  BaseConverter(const Basis& from, const Basis& to);

  const Basis& from() const { return from_; }
  const Basis& to() const { return to_; }

  // The part of the work that all target moduli share. One limb of coefficients per modulus of
  // from().
  Scaled scale(std::span<const ConstLimb> coefficients) const;
  // The residues modulo to().modulus(target).
  void extend(const Scaled& scaled, size_t target, Limb out) const;

  CoefficientPolynomial convert(const CoefficientPolynomial& polynomial,
                                ThreadPool* pool = nullptr) const;

 private:
  Basis from_, to_;
  std::vector<simd::ShoupFactor> inverse_cofactors_;  // (P/p_i)^-1 mod p_i
  std::vector<std::vector<uint32_t>> weights_;        // per target: P/p_i mod q, then -P mod q
};

// round(x / P) modulo Q for x modulo QP, where P is the product of the moduli of `dropped` and |x|
// counts in (-QP/2, QP/2): the end of a key switch (P the special primes) and the rescaling of a
// scheme (P the last modulus). The quotient is exact up to the representative that BaseConverter
// takes.
class RoundedDivision {
 public:
  // Preconditions: same degree, no common modulus, dropped.size() in 1..64.
  RoundedDivision(const Basis& kept, const Basis& dropped);

  const Basis& kept() const { return converter_.to(); }
  const Basis& dropped() const { return converter_.from(); }

  // For callers that have the limbs one at a time: first the coefficients at all dropped moduli,
  // then limb number j of the kept ones, in place. scratch has N words.
  BaseConverter::Scaled scale(std::span<const ConstLimb> dropped_coefficients) const {
    return converter_.scale(dropped_coefficients);
  }
  template <Form form>
  void divide_limb(const BaseConverter::Scaled& scaled, size_t j, Limb limb, Limb scratch) const;

  // Precondition: the basis of the polynomial is that of kept(), then that of dropped().
  template <Form form>
  RnsPolynomial<form> apply(RnsPolynomial<form>&& polynomial, ThreadPool* pool = nullptr) const;

 private:
  BaseConverter converter_;
  std::vector<simd::ShoupFactor> inverses_;  // P^-1 mod q_j
};

}  // namespace bauta::ring
