#include "ring/secret_polynomial.h"

namespace bauta::ring {

using simd::kernels;

namespace {

// target <- kernel(target, operand), limb by limb.
template <typename Target, typename Operand, typename Kernel>
void combine(Target& target, const Operand& operand, Kernel kernel) {
  BAUTA_ASSERT(operand.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernel(limb.data(), limb.data(), operand.limb(i).data(), limb.size(),
           target.basis().constants(i));
  }
}

}  // namespace

template <Form form>
Result<SecretPolynomial<form>> SecretPolynomial<form>::create(const Basis& basis) {
  SecretPolynomial polynomial;
  BAUTA_TRY(polynomial.words_, SecretArray<uint32_t>::create(basis.size() * basis.degree()));
  polynomial.basis_ = basis;
  return polynomial;
}

template <Form form>
Limb SecretPolynomial<form>::limb(size_t i) {
  BAUTA_ASSERT(i < limb_count());
  return words_.span().subspan(i * degree(), degree());
}

template <Form form>
ConstLimb SecretPolynomial<form>::limb(size_t i) const {
  BAUTA_ASSERT(i < limb_count());
  return words_.span().subspan(i * degree(), degree());
}

template <Form form>
template <Form other>
SecretPolynomial<form> SecretPolynomial<form>::from(SecretPolynomial<other>&& source) {
  SecretPolynomial polynomial;
  polynomial.basis_ = std::exchange(source.basis_, Basis());
  polynomial.words_ = std::move(source.words_);
  return polynomial;
}

template class SecretPolynomial<Form::coefficient>;
template class SecretPolynomial<Form::evaluation>;

SecretValues to_evaluation(SecretCoefficients&& polynomial) {
  for (size_t i = 0; i < polynomial.limb_count(); ++i)
    polynomial.basis().ntt(i).forward(polynomial.limb(i));
  return SecretValues::from(std::move(polynomial));
}

SecretCoefficients to_coefficient(SecretValues&& polynomial) {
  for (size_t i = 0; i < polynomial.limb_count(); ++i)
    polynomial.basis().ntt(i).inverse(polynomial.limb(i));
  return SecretCoefficients::from(std::move(polynomial));
}

// Constant time: the sign chooses by a mask whether q is added.
void lift(const SmallSecret& secret, const Modulus& modulus, Limb out) {
  BAUTA_ASSERT(out.size() == secret.size());
  const int8_t* coefficients = secret.data();
  const uint32_t q = modulus.value();
  if (q > 128) {
    for (size_t i = 0; i < out.size(); ++i) {
      const auto value = static_cast<uint32_t>(int32_t{coefficients[i]});
      out[i] = value + (q & (0u - (value >> 31)));
    }
  } else {
    for (size_t i = 0; i < out.size(); ++i) out[i] = modulus.reduce_signed(coefficients[i]);
  }
}

Result<SecretValues> evaluate(const SmallSecret& secret, const Basis& basis) {
  BAUTA_ASSERT(secret.size() == basis.degree());
  BAUTA_TRY(SecretCoefficients polynomial, SecretCoefficients::create(basis));
  for (size_t i = 0; i < basis.size(); ++i) lift(secret, basis.modulus(i), polynomial.limb(i));
  return to_evaluation(std::move(polynomial));
}

Result<SmallSecret> apply_automorphism(const SmallSecret& secret, uint64_t g) {
  BAUTA_ASSERT(g % 2 == 1);
  const size_t degree = secret.size();
  BAUTA_TRY(SmallSecret image, SmallSecret::create(degree));
  size_t place = 0;  // of X^(g i), modulo 2N; public
  for (size_t i = 0; i < degree; ++i) {
    const int8_t coefficient = secret.data()[i];
    image.data()[place & (degree - 1)] =
        place < degree ? coefficient : static_cast<int8_t>(-coefficient);
    place = (place + g) & (2 * degree - 1);
  }
  return image;
}

Status add_in_place(EvaluationPolynomial& target, const SmallSecret& secret) {
  BAUTA_ASSERT(secret.size() == target.degree());
  BAUTA_TRY(SecretArray<uint32_t> scratch, SecretArray<uint32_t>::create(secret.size()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const NttTables& ntt = target.basis().ntt(i);
    lift(secret, ntt.modulus(), scratch.span());
    ntt.forward(scratch.span());
    const Limb limb = target.limb(i);
    kernels().add(limb.data(), limb.data(), scratch.data(), limb.size(), ntt.modulus().constants());
  }
  return {};
}

Status add_in_place(CoefficientPolynomial& target, const SmallSecret& secret) {
  BAUTA_ASSERT(secret.size() == target.degree());
  BAUTA_TRY(SecretArray<uint32_t> scratch, SecretArray<uint32_t>::create(secret.size()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Modulus& modulus = target.basis().modulus(i);
    lift(secret, modulus, scratch.span());
    const Limb limb = target.limb(i);
    kernels().add(limb.data(), limb.data(), scratch.data(), limb.size(), modulus.constants());
  }
  return {};
}

Status multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                    const SmallSecret& secret) {
  BAUTA_ASSERT(secret.size() == target.degree() && a.basis().starts_with(target.basis()));
  BAUTA_TRY(SecretArray<uint32_t> scratch, SecretArray<uint32_t>::create(secret.size()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const NttTables& ntt = target.basis().ntt(i);
    lift(secret, ntt.modulus(), scratch.span());
    ntt.forward(scratch.span());
    const Limb limb = target.limb(i);
    kernels().multiply_add(limb.data(), a.limb(i).data(), scratch.data(), limb.size(),
                           ntt.modulus().constants());
  }
  return {};
}

void multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                  const SecretValues& secret) {
  BAUTA_ASSERT(a.basis().starts_with(target.basis()) && secret.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().multiply_add(limb.data(), a.limb(i).data(), secret.limb(i).data(), limb.size(),
                           target.basis().constants(i));
  }
}

void add_in_place(EvaluationPolynomial& target, const SecretValues& secret) {
  combine(target, secret, kernels().add);
}

void multiply_in_place(SecretValues& target, const SecretValues& factor) {
  combine(target, factor, kernels().multiply);
}

void multiply_in_place(SecretValues& target, const EvaluationPolynomial& factor) {
  combine(target, factor, kernels().multiply);
}

void add_in_place(SecretCoefficients& target, const CoefficientPolynomial& addend) {
  combine(target, addend, kernels().add);
}

}  // namespace bauta::ring
