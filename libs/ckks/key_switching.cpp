#include "ckks/key_switching.h"

#include <algorithm>

#include "ring/limb_loop.h"

namespace bauta::ckks {

KeySwitcher::KeySwitcher(const Parameters& parameters, const KeySwitchShape& shape)
    : shape_(shape),
      extended_(shape.basis(parameters)),
      division_(extended_.prefix(shape.limbs), extended_.slice(shape.limbs, shape.special_count)) {
  BAUTA_ASSERT(check_shape(parameters, shape).ok());
  for (size_t begin = 0; begin < shape.limbs; begin += shape.digit_limbs) {
    const size_t end = std::min(begin + shape.digit_limbs, shape.limbs);
    const ring::Basis others =
        extended_.prefix(begin).joined(extended_.slice(end, extended_.size() - end));
    digits_.push_back({begin, end, {extended_.slice(begin, end - begin), others}});
  }
  for (size_t i = 0; i < shape.limbs; ++i) {
    const ring::Modulus& modulus = extended_.modulus(i);
    uint32_t product = 1;
    for (size_t k = shape.limbs; k < extended_.size(); ++k)
      product = modulus.multiply(product, modulus.reduce(extended_.modulus(k).value()));
    special_product_.push_back(modulus.shoup(product));
  }
}

Decomposition KeySwitcher::decompose(const ring::CoefficientPolynomial& polynomial,
                                     ThreadPool* pool) const {
  return decompose(polynomial, nullptr, pool);
}

Decomposition KeySwitcher::decompose(const ring::EvaluationPolynomial& polynomial,
                                     ThreadPool* pool) const {
  return decompose(to_coefficient(polynomial.clone(), pool), &polynomial, pool);
}

// values: the polynomial in evaluation form too, where it is at hand; its own limbs then need no
// transform.
Decomposition KeySwitcher::decompose(const ring::CoefficientPolynomial& coefficients,
                                     const ring::EvaluationPolynomial* values,
                                     ThreadPool* pool) const {
  BAUTA_ASSERT(coefficients.basis() == extended_.prefix(shape_.limbs));
  Decomposition decomposition;
  for (const Digit& digit : digits_) {
    std::vector<ring::ConstLimb> own;
    for (size_t i = digit.begin; i < digit.end; ++i) own.push_back(coefficients.limb(i));
    const ring::BaseConverter::Scaled scaled = digit.converter.scale(own);
    auto extended = ring::EvaluationPolynomial::uninitialised(extended_);
    const auto fill_limb = [&](size_t j) {
      const ring::Limb limb = extended.limb(j);
      if (j >= digit.begin && j < digit.end) {
        std::ranges::copy(values ? values->limb(j) : coefficients.limb(j), limb.begin());
        if (values) return;
      } else {
        digit.converter.extend(scaled, j < digit.begin ? j : j - own.size(), limb);
      }
      extended_.ntt(j).forward(limb);
    };
    ring::for_each_limb(extended_.size(), pool, fill_limb);
    decomposition.digits.push_back(std::move(extended));
  }
  return decomposition;
}

PolynomialPair KeySwitcher::apply_key(const Decomposition& decomposition, const SwitchingKey& key,
                                      ThreadPool* pool) const {
  BAUTA_ASSERT(key.shape.serves(shape_));
  PolynomialPair pair{ring::EvaluationPolynomial::uninitialised(extended_),
                      ring::EvaluationPolynomial::uninitialised(extended_)};
  const size_t count = digits_.size();
  ring::for_each_limb(extended_.size(), pool, [&](size_t j) {
    // A key for more limbs has rows in between that are not used here.
    const size_t row = j < shape_.limbs ? j : j + key.shape.limbs - shape_.limbs;
    std::vector<const uint32_t*> digits(count), b(count), a(count);
    for (size_t d = 0; d < count; ++d) {
      digits[d] = decomposition.digits[d].limb(j).data();
      b[d] = key.b[d].limb(row).data();
      a[d] = key.a[d].limb(row).data();
    }
    simd::kernels().inner_product_pair(pair.u0.limb(j).data(), pair.u1.limb(j).data(),
                                       digits.data(), b.data(), a.data(), count, extended_.degree(),
                                       extended_.constants(j));
  });
  return pair;
}

void KeySwitcher::add_times_special(ring::EvaluationPolynomial& target,
                                    const ring::EvaluationPolynomial& addend) const {
  BAUTA_ASSERT(target.basis() == extended_ && addend.basis() == extended_.prefix(shape_.limbs));
  ring::WordStorage product(extended_.degree());
  for (size_t i = 0; i < shape_.limbs; ++i) {
    const simd::ModulusConstants& modulus = extended_.constants(i);
    uint32_t* limb = target.limb(i).data();
    simd::kernels().multiply_constant(product.data(), addend.limb(i).data(), special_product_[i],
                                      extended_.degree(), modulus);
    simd::kernels().add(limb, limb, product.data(), extended_.degree(), modulus);
  }
}

PolynomialPair KeySwitcher::divide_by_special(PolynomialPair&& pair, ThreadPool* pool) const {
  return {division_.apply(std::move(pair.u0), pool), division_.apply(std::move(pair.u1), pool)};
}

}  // namespace bauta::ckks
