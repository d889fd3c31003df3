#include "ring/polynomial.h"

#include <algorithm>

#include "ring/limb_loop.h"

namespace bauta::ring {
namespace {

using simd::kernels;
using simd::ModulusConstants;
using simd::scalar::add;
using simd::scalar::subtract;

// The kernels take multiples of 16 words; monomials cut a limb anywhere.
void add_segment(uint32_t* target, const uint32_t* addend, size_t count,
                 const ModulusConstants& modulus) {
  const size_t bulk = count & ~size_t{15};
  kernels().add(target, target, addend, bulk, modulus);
  for (size_t i = bulk; i < count; ++i) target[i] = add(target[i], addend[i], modulus.value);
}

void subtract_segment(uint32_t* target, const uint32_t* subtrahend, size_t count,
                      const ModulusConstants& modulus) {
  const size_t bulk = count & ~size_t{15};
  kernels().subtract(target, target, subtrahend, bulk, modulus);
  for (size_t i = bulk; i < count; ++i)
    target[i] = subtract(target[i], subtrahend[i], modulus.value);
}

}  // namespace

template <Form form>
RnsPolynomial<form> RnsPolynomial<form>::uninitialised(const Basis& basis) {
  RnsPolynomial polynomial;
  polynomial.basis_ = basis;
  polynomial.words_ = WordStorage(basis.size() * basis.degree());
  return polynomial;
}

template <Form form>
RnsPolynomial<form> RnsPolynomial<form>::zero(const Basis& basis) {
  RnsPolynomial polynomial = uninitialised(basis);
  std::fill_n(polynomial.words_.data(), polynomial.words_.size(), 0u);
  return polynomial;
}

template <Form form>
RnsPolynomial<form> RnsPolynomial<form>::clone() const {
  RnsPolynomial copy = uninitialised(basis_);
  std::copy(words().begin(), words().end(), copy.words_.data());
  return copy;
}

template <Form form>
Limb RnsPolynomial<form>::limb(size_t i) {
  BAUTA_ASSERT(i < limb_count());
  return {words_.data() + i * degree(), degree()};
}

template <Form form>
ConstLimb RnsPolynomial<form>::limb(size_t i) const {
  BAUTA_ASSERT(i < limb_count());
  return {words_.data() + i * degree(), degree()};
}

template <Form form>
template <Form other>
RnsPolynomial<form> RnsPolynomial<form>::from(RnsPolynomial<other>&& source) {
  RnsPolynomial polynomial;
  polynomial.basis_ = std::exchange(source.basis_, Basis());
  polynomial.words_ = std::move(source.words_);
  return polynomial;
}

template class RnsPolynomial<Form::coefficient>;
template class RnsPolynomial<Form::evaluation>;

CoefficientPolynomial from_signed(std::span<const int64_t> values, const Basis& basis,
                                  ThreadPool* pool) {
  auto polynomial = CoefficientPolynomial::zero(basis);
  add_signed(polynomial, values, pool);
  return polynomial;
}

void add_signed(CoefficientPolynomial& target, std::span<const int64_t> values, ThreadPool* pool) {
  BAUTA_ASSERT(values.size() == target.degree());
  for_each_limb(target.limb_count(), pool, [&](size_t i) {
    kernels().add_signed(target.limb(i).data(), values.data(), values.size(),
                         target.basis().constants(i));
  });
}

EvaluationPolynomial to_evaluation(CoefficientPolynomial&& polynomial, ThreadPool* pool) {
  for_each_limb(polynomial.limb_count(), pool,
                [&](size_t i) { polynomial.basis().ntt(i).forward(polynomial.limb(i)); });
  return EvaluationPolynomial::from(std::move(polynomial));
}

CoefficientPolynomial to_coefficient(EvaluationPolynomial&& polynomial, ThreadPool* pool) {
  for_each_limb(polynomial.limb_count(), pool,
                [&](size_t i) { polynomial.basis().ntt(i).inverse(polynomial.limb(i)); });
  return CoefficientPolynomial::from(std::move(polynomial));
}

template <Form form>
void add_in_place(RnsPolynomial<form>& target, const RnsPolynomial<form>& addend) {
  BAUTA_ASSERT(addend.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().add(limb.data(), limb.data(), addend.limb(i).data(), limb.size(),
                  target.basis().constants(i));
  }
}

template <Form form>
void subtract_in_place(RnsPolynomial<form>& target, const RnsPolynomial<form>& subtrahend) {
  BAUTA_ASSERT(subtrahend.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().subtract(limb.data(), limb.data(), subtrahend.limb(i).data(), limb.size(),
                       target.basis().constants(i));
  }
}

template <Form form>
void negate_in_place(RnsPolynomial<form>& target) {
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().negate(limb.data(), limb.data(), limb.size(), target.basis().constants(i));
  }
}

template <Form form>
void multiply_constant_in_place(RnsPolynomial<form>& target, std::span<const uint32_t> factors) {
  BAUTA_ASSERT(factors.size() >= target.limb_count());
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    const Modulus& modulus = target.basis().modulus(i);
    BAUTA_ASSERT(factors[i] < modulus.value());
    kernels().multiply_constant(limb.data(), limb.data(), modulus.shoup(factors[i]), limb.size(),
                                modulus.constants());
  }
}

template void add_in_place(CoefficientPolynomial&, const CoefficientPolynomial&);
template void add_in_place(EvaluationPolynomial&, const EvaluationPolynomial&);
template void subtract_in_place(CoefficientPolynomial&, const CoefficientPolynomial&);
template void subtract_in_place(EvaluationPolynomial&, const EvaluationPolynomial&);
template void negate_in_place(CoefficientPolynomial&);
template void negate_in_place(EvaluationPolynomial&);
template void multiply_constant_in_place(CoefficientPolynomial&, std::span<const uint32_t>);
template void multiply_constant_in_place(EvaluationPolynomial&, std::span<const uint32_t>);

void multiply_in_place(EvaluationPolynomial& target, const EvaluationPolynomial& factor) {
  BAUTA_ASSERT(factor.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().multiply(limb.data(), limb.data(), factor.limb(i).data(), limb.size(),
                       target.basis().constants(i));
  }
}

void multiply_add(EvaluationPolynomial& target, const EvaluationPolynomial& a,
                  const EvaluationPolynomial& b) {
  BAUTA_ASSERT(a.basis().starts_with(target.basis()) && b.basis().starts_with(target.basis()));
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const Limb limb = target.limb(i);
    kernels().multiply_add(limb.data(), a.limb(i).data(), b.limb(i).data(), limb.size(),
                           target.basis().constants(i));
  }
}

CoefficientPolynomial multiply_monomial(const CoefficientPolynomial& polynomial, size_t exponent) {
  auto product = CoefficientPolynomial::zero(polynomial.basis());
  multiply_monomial_add(product, polynomial, exponent);
  return product;
}

void multiply_monomial_add(CoefficientPolynomial& target, const CoefficientPolynomial& polynomial,
                           size_t exponent) {
  BAUTA_ASSERT(polynomial.basis().starts_with(target.basis()));
  const size_t degree = target.degree();
  const size_t shift = exponent % degree;
  const bool negated = exponent / degree % 2 == 1;  // X^N = -1
  const auto straight = negated ? subtract_segment : add_segment;
  const auto wrapped = negated ? add_segment : subtract_segment;
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const ModulusConstants& modulus = target.basis().constants(i);
    uint32_t* out = target.limb(i).data();
    const uint32_t* in = polynomial.limb(i).data();
    straight(out + shift, in, degree - shift, modulus);
    wrapped(out, in + degree - shift, shift, modulus);
  }
}

}  // namespace bauta::ring
