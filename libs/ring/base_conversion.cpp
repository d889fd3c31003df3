#include "ring/base_conversion.h"

#include <algorithm>

#include "ring/limb_loop.h"

namespace bauta::ring {
namespace {

using simd::kernels;

constexpr size_t kMaxTerms = 64;

// Product modulo `modulus` of the moduli of `basis`, without the one at `except`.
uint32_t product(const Basis& basis, const Modulus& modulus, size_t except) {
  uint32_t result = 1;
  for (size_t i = 0; i < basis.size(); ++i)
    if (i != except) result = modulus.multiply(result, modulus.reduce(basis.modulus(i).value()));
  return result;
}

uint32_t product(const Basis& basis, const Modulus& modulus) {
  return product(basis, modulus, basis.size());
}

}  // namespace

BaseConverter::BaseConverter(const Basis& from, const Basis& to) : from_(from), to_(to) {
  BAUTA_ASSERT(from.log_degree() == to.log_degree());
  BAUTA_ASSERT(from.size() >= 1 && from.size() <= kMaxTerms);
  for (size_t i = 0; i < from.size(); ++i) {
    const Modulus& modulus = from.modulus(i);
    inverse_cofactors_.push_back(modulus.shoup(modulus.inverse(product(from, modulus, i))));
  }
  for (size_t j = 0; j < to.size(); ++j) {
    const Modulus& modulus = to.modulus(j);
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < from.size(); ++i) weights.push_back(product(from, modulus, i));
    weights.push_back(modulus.negate(product(from, modulus)));
    weights_.push_back(std::move(weights));
  }
}

BaseConverter::Scaled BaseConverter::scale(std::span<const ConstLimb> coefficients) const {
  BAUTA_ASSERT(coefficients.size() == from_.size());
  const size_t degree = from_.degree();
  const size_t terms = from_.size();
  for (ConstLimb limb : coefficients) BAUTA_ASSERT(limb.size() == degree);
  if (terms == 1) {
    Scaled copy{WordStorage(degree)};
    std::copy(coefficients[0].begin(), coefficients[0].end(), copy.words.data());
    return copy;
  }
  Scaled scaled{WordStorage((terms + 1) * degree)};
  std::vector<const uint32_t*> limbs(terms);
  std::vector<const simd::ModulusConstants*> moduli(terms);
  for (size_t i = 0; i < terms; ++i) {
    uint32_t* out = scaled.words.data() + i * degree;
    limbs[i] = out;
    moduli[i] = &from_.constants(i);
    kernels().multiply_constant(out, coefficients[i].data(), inverse_cofactors_[i], degree,
                                *moduli[i]);
  }
  kernels().rounded_quotient(scaled.words.data() + terms * degree, limbs.data(), moduli.data(),
                             terms, degree);
  return scaled;
}

void BaseConverter::extend(const Scaled& scaled, size_t target, Limb out) const {
  const size_t degree = from_.degree();
  const size_t terms = from_.size();
  BAUTA_ASSERT(target < to_.size() && out.size() == degree);
  if (terms == 1) {
    kernels().lift_centred(out.data(), scaled.words.data(), from_.constants(0), degree,
                           to_.constants(target));
    return;
  }
  const uint32_t* limbs[kMaxTerms + 1];
  for (size_t i = 0; i <= terms; ++i) limbs[i] = scaled.words.data() + i * degree;
  kernels().weighted_sum(out.data(), limbs, weights_[target].data(), terms + 1, degree,
                         to_.constants(target));
}

CoefficientPolynomial BaseConverter::convert(const CoefficientPolynomial& polynomial,
                                             ThreadPool* pool) const {
  BAUTA_ASSERT(polynomial.basis() == from_);
  std::vector<ConstLimb> limbs;
  for (size_t i = 0; i < from_.size(); ++i) limbs.push_back(polynomial.limb(i));
  const Scaled scaled = scale(limbs);
  auto converted = CoefficientPolynomial::uninitialised(to_);
  for_each_limb(to_.size(), pool, [&](size_t j) { extend(scaled, j, converted.limb(j)); });
  return converted;
}

RoundedDivision::RoundedDivision(const Basis& kept, const Basis& dropped)
    : converter_(dropped, kept) {
  for (size_t j = 0; j < kept.size(); ++j) {
    const Modulus& modulus = kept.modulus(j);
    inverses_.push_back(modulus.shoup(modulus.inverse(product(dropped, modulus))));
  }
}

// round(x / P) = (x - r) / P with r = x modulo P in (-P/2, P/2).
template <Form form>
void RoundedDivision::divide_limb(const BaseConverter::Scaled& scaled, size_t j, Limb limb,
                                  Limb scratch) const {
  converter_.extend(scaled, j, scratch);
  if constexpr (form == Form::evaluation) kept().ntt(j).forward(scratch);
  kernels().subtract_multiply_constant(limb.data(), limb.data(), scratch.data(), inverses_[j],
                                       limb.size(), kept().constants(j));
}

template void RoundedDivision::divide_limb<Form::coefficient>(const BaseConverter::Scaled&, size_t,
                                                              Limb, Limb) const;
template void RoundedDivision::divide_limb<Form::evaluation>(const BaseConverter::Scaled&, size_t,
                                                             Limb, Limb) const;

template <Form form>
RnsPolynomial<form> RoundedDivision::apply(RnsPolynomial<form>&& polynomial,
                                           ThreadPool* pool) const {
  const size_t kept_count = kept().size();
  const Basis& basis = polynomial.basis();
  BAUTA_ASSERT(basis.size() == kept_count + dropped().size() && basis.starts_with(kept()) &&
               basis.slice(kept_count, dropped().size()) == dropped());
  if constexpr (form == Form::evaluation)
    for_each_limb(dropped().size(), pool,
                  [&](size_t i) { dropped().ntt(i).inverse(polynomial.limb(kept_count + i)); });
  std::vector<ConstLimb> limbs;
  for (size_t i = kept_count; i < basis.size(); ++i) limbs.push_back(polynomial.limb(i));
  const BaseConverter::Scaled scaled = converter_.scale(limbs);

  for_each_limb_with_scratch(kept_count, kept().degree(), pool, [&](size_t j, Limb scratch) {
    divide_limb<form>(scaled, j, polynomial.limb(j), scratch);
  });
  polynomial.keep_limbs(kept_count);
  return std::move(polynomial);
}

template CoefficientPolynomial RoundedDivision::apply(CoefficientPolynomial&&, ThreadPool*) const;
template EvaluationPolynomial RoundedDivision::apply(EvaluationPolynomial&&, ThreadPool*) const;

}  // namespace bauta::ring
