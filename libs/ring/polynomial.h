// Polynomials of Z_Q[X]/(X^N + 1) in residue number form.
#pragma once

#include <cstdint>
#include <span>

#include "base/thread_pool.h"
#include "ring/basis.h"
#include "ring/word_storage.h"

namespace bauta::ring {

// Coefficients, or values at the roots in the order of ring/ntt.h.
enum class Form { coefficient, evaluation };

// Invariant: one limb of N residues, each in [0, q_i), for every modulus q_i of the basis; limbs
// are contiguous in the order of the basis. The form is part of the type, so that mixing forms does
// not compile. Moves leave an empty polynomial (of the empty basis); copies are explicit (clone).
//
// Not for secrets: the memory is neither locked nor wiped (see ring/secret_polynomial.h).
template <Form form>
class RnsPolynomial {
 public:
  RnsPolynomial() = default;
  static RnsPolynomial zero(const Basis& basis);
  // The caller writes every limb before anybody reads one.
  static RnsPolynomial uninitialised(const Basis& basis);
  RnsPolynomial clone() const;

  const Basis& basis() const { return basis_; }
  size_t degree() const { return basis_.degree(); }
  size_t limb_count() const { return basis_.size(); }

  // Precondition: i < limb_count().
  Limb limb(size_t i);
  ConstLimb limb(size_t i) const;
  // All limbs, one after the other.
  std::span<const uint32_t> words() const {
    return {words_.data(), basis_.empty() ? 0 : basis_.size() * degree()};
  }

  // Keeps the first `count` limbs: the same residues, to a smaller modulus. Precondition: count <=
  // limb_count().
  void keep_limbs(size_t count) { basis_ = basis_.prefix(count); }

  friend bool operator==(const RnsPolynomial& a, const RnsPolynomial& b) {
    return a.basis_ == b.basis_ &&
           std::equal(a.words().begin(), a.words().end(), b.words().begin());
  }

 private:
  template <Form other>
  friend class RnsPolynomial;
  friend RnsPolynomial<Form::evaluation> to_evaluation(RnsPolynomial<Form::coefficient>&&,
                                                       ThreadPool*);
  friend RnsPolynomial<Form::coefficient> to_coefficient(RnsPolynomial<Form::evaluation>&&,
                                                         ThreadPool*);
  template <Form other>
  static RnsPolynomial from(RnsPolynomial<other>&& source);

  Basis basis_;
  WordStorage words_;
};

using CoefficientPolynomial = RnsPolynomial<Form::coefficient>;
using EvaluationPolynomial = RnsPolynomial<Form::evaluation>;

// Residues of any signed integers: coefficient i of the result is values[i]. Precondition:
// values.size() == basis.degree(). Constant time.
CoefficientPolynomial from_signed(std::span<const int64_t> values, const Basis& basis,
                                  ThreadPool* pool = nullptr);
// target += from_signed(values, target.basis()), without a copy of the values' residues.
void add_signed(CoefficientPolynomial& target, std::span<const int64_t> values,
                ThreadPool* pool = nullptr);

// In place, limb by limb, on the pool if there is one. Constant time.
EvaluationPolynomial to_evaluation(CoefficientPolynomial&& polynomial, ThreadPool* pool = nullptr);
CoefficientPolynomial to_coefficient(EvaluationPolynomial&& polynomial, ThreadPool* pool = nullptr);

// In all operations below, an operand that is only read may have more limbs than the one written:
// its basis must start with that of the target.

template <Form form>
void add_in_place(RnsPolynomial<form>& target, const RnsPolynomial<form>& addend);
template <Form form>
void subtract_in_place(RnsPolynomial<form>& target, const RnsPolynomial<form>& subtrahend);
template <Form form>
void negate_in_place(RnsPolynomial<form>& target);

// Limb i times factors[i], which is reduced modulo q_i. Precondition: at least limb_count()
// factors.
template <Form form>
void multiply_constant_in_place(RnsPolynomial<form>& target, std::span<const uint32_t> factors);

// Ring products: pointwise in evaluation form.
void multiply_in_place(EvaluationPolynomial& target, const EvaluationPolynomial& factor);
// target += a * b
void multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                  const EvaluationPolynomial& b);

// polynomial * X^exponent, exponent modulo 2N.
CoefficientPolynomial multiply_monomial(const CoefficientPolynomial& polynomial, size_t exponent);
// target += polynomial * X^exponent
void multiply_monomial_add(CoefficientPolynomial& target, const CoefficientPolynomial& polynomial,
                           size_t exponent);

}  // namespace bauta::ring
