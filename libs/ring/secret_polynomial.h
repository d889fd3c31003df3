// Polynomials that must not leak: secret keys, errors, ephemeral randomness.
#pragma once

#include <cstdint>

#include "base/secret.h"
#include "ring/polynomial.h"

namespace bauta::ring {

// N small signed coefficients, the form in which secrets are sampled and kept: N bytes of locked
// memory whatever the number of moduli.
using SmallSecret = SecretArray<int8_t>;

// RnsPolynomial in locked memory that is wiped on release; 4 N bytes per limb. Everything done to
// it is constant time. Neither copied, compared nor serialised.
template <Form form>
class SecretPolynomial {
 public:
  SecretPolynomial() = default;
  // All zero. Error `unavailable` when the memory cannot be locked.
  static Result<SecretPolynomial> create(const Basis& basis);

  const Basis& basis() const { return basis_; }
  size_t degree() const { return basis_.degree(); }
  size_t limb_count() const { return basis_.size(); }
  Limb limb(size_t i);
  ConstLimb limb(size_t i) const;

 private:
  template <Form other>
  friend class SecretPolynomial;
  friend SecretPolynomial<Form::evaluation> to_evaluation(SecretPolynomial<Form::coefficient>&&);
  friend SecretPolynomial<Form::coefficient> to_coefficient(SecretPolynomial<Form::evaluation>&&);
  template <Form other>
  static SecretPolynomial from(SecretPolynomial<other>&& source);

  Basis basis_;
  SecretArray<uint32_t> words_;
};

using SecretCoefficients = SecretPolynomial<Form::coefficient>;
using SecretValues = SecretPolynomial<Form::evaluation>;

// In place.
SecretValues to_evaluation(SecretCoefficients&& polynomial);
SecretCoefficients to_coefficient(SecretValues&& polynomial);

// Residues of the coefficients modulo one prime. Precondition: out.size() == secret.size().
void lift(const SmallSecret& secret, const Modulus& modulus, Limb out);

// The secret at every modulus of the basis. Precondition: secret.size() == basis.degree().
Result<SecretValues> evaluate(const SmallSecret& secret, const Basis& basis);

// secret(X^g), g odd. The coefficients must lie in [-127, 127].
Result<SmallSecret> apply_automorphism(const SmallSecret& secret, uint64_t g);

// target += secret: one locked limb of scratch, whatever the number of moduli.
Status add_in_place(EvaluationPolynomial& target, const SmallSecret& secret);
Status add_in_place(CoefficientPolynomial& target, const SmallSecret& secret);
// target += a * secret. a may have more limbs than target; its basis must start with that of
// target, and so must that of an evaluated secret.
Status multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                    const SmallSecret& secret);
void multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                  const SecretValues& secret);
// target += secret
void add_in_place(EvaluationPolynomial& target, const SecretValues& secret);
// target *= factor. E.g. s to s^2.
void multiply_in_place(SecretValues& target, const SecretValues& factor);
// The steps of a decryption: the public half times the secret, plus the other half. The public
// polynomial may have more limbs.
void multiply_in_place(SecretValues& target, const EvaluationPolynomial& factor);
void add_in_place(SecretCoefficients& target, const CoefficientPolynomial& addend);

}  // namespace bauta::ring
