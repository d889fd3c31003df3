#include "ckks/key_switching.h"

#include <algorithm>
#include <array>

#include "ring/automorphism.h"
#include "ring/limb_loop.h"

namespace bauta::ckks {
namespace {

using ring::ConstLimb;
using ring::Limb;

void add(Limb target, ConstLimb addend, const simd::ModulusConstants& modulus) {
  simd::kernels().add(target.data(), target.data(), addend.data(), target.size(), modulus);
}

// Consecutive limbs of N words in one piece of memory.
class LimbStorage {
 public:
  LimbStorage(size_t count, size_t degree) : degree_(degree), words_(count * degree) {}

  Limb limb(size_t i) { return {words_.data() + i * degree_, degree_}; }
  ConstLimb limb(size_t i) const { return {words_.data() + i * degree_, degree_}; }
  Limb limbs(size_t begin, size_t count) {
    return {words_.data() + begin * degree_, count * degree_};
  }

 private:
  size_t degree_;
  ring::WordStorage words_;
};

// The automorphism at the end, or none.
class Turn {
 public:
  Turn(size_t log_degree, uint32_t element)
      : automorphism_(element == 1 ? nullptr : &ring::Automorphism::get(log_degree, element)) {}

  // Where to work so that finish() can bring the limb to `out`.
  Limb output_or_scratch(Limb out, Limb scratch) const { return automorphism_ ? scratch : out; }
  void finish(Limb out, ConstLimb work) const {
    if (automorphism_) automorphism_->apply_evaluation(out, work);
  }

 private:
  const ring::Automorphism* automorphism_;
};

}  // namespace

// Digits made beforehand.
class KeySwitcher::StoredDigits {
 public:
  explicit StoredDigits(const Decomposition& decomposition) : digits_(decomposition.digits) {}

  ConstLimb limb(size_t digit, size_t j, Limb) const { return digits_[digit].limb(j); }

 private:
  const std::vector<ring::EvaluationPolynomial>& digits_;
};

// Digits made limb by limb as they are needed.
class KeySwitcher::FreshDigits {
 public:
  // values: the polynomial in evaluation form too, where it is at hand; a digit's own limbs then
  // need no transform.
  FreshDigits(const KeySwitcher& switcher, const ring::CoefficientPolynomial& coefficients,
              const ring::EvaluationPolynomial* values)
      : switcher_(switcher), coefficients_(coefficients), values_(values) {
    BAUTA_ASSERT(coefficients.basis() == switcher.extended_.prefix(switcher.shape_.limbs));
    for (const Digit& digit : switcher.digits_) {
      std::vector<ConstLimb> own;
      for (size_t i = digit.begin; i < digit.end; ++i) own.push_back(coefficients.limb(i));
      scaled_.push_back(digit.converter.scale(own));
    }
  }

  // Digit number d modulo modulus number j, in scratch or where it was given.
  ConstLimb limb(size_t d, size_t j, Limb scratch) const {
    const Digit& digit = switcher_.digits_[d];
    if (j >= digit.begin && j < digit.end) {
      if (values_) return values_->limb(j);
      std::ranges::copy(coefficients_.limb(j), scratch.begin());
    } else {
      const size_t target = j < digit.begin ? j : j - (digit.end - digit.begin);
      digit.converter.extend(scaled_[d], target, scratch);
    }
    switcher_.extended_.ntt(j).forward(scratch);
    return scratch;
  }

  Decomposition store(ThreadPool* pool) const {
    Decomposition decomposition;
    for (size_t d = 0; d < scaled_.size(); ++d) {
      auto digit = ring::EvaluationPolynomial::uninitialised(switcher_.extended_);
      ring::for_each_limb(digit.limb_count(), pool, [&](size_t j) {
        const ConstLimb made = limb(d, j, digit.limb(j));
        if (made.data() != digit.limb(j).data()) std::ranges::copy(made, digit.limb(j).begin());
      });
      decomposition.digits.push_back(std::move(digit));
    }
    return decomposition;
  }

 private:
  const KeySwitcher& switcher_;
  const ring::CoefficientPolynomial& coefficients_;
  const ring::EvaluationPolynomial* values_;
  std::vector<ring::BaseConverter::Scaled> scaled_;
};

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
  return FreshDigits(*this, polynomial, nullptr).store(pool);
}

Decomposition KeySwitcher::decompose(const ring::EvaluationPolynomial& polynomial,
                                     ThreadPool* pool) const {
  const ring::CoefficientPolynomial coefficients = to_coefficient(polynomial.clone(), pool);
  return FreshDigits(*this, coefficients, &polynomial).store(pool);
}

PolynomialPair KeySwitcher::switch_key(const Decomposition& decomposition, const SwitchingKey& key,
                                       KeySwitchEnd end, ThreadPool* pool) const {
  return run(StoredDigits(decomposition), key, end, pool);
}

PolynomialPair KeySwitcher::switch_key(const ring::CoefficientPolynomial& polynomial,
                                       const SwitchingKey& key, KeySwitchEnd end,
                                       ThreadPool* pool) const {
  return run(FreshDigits(*this, polynomial, nullptr), key, end, pool);
}

PolynomialPair KeySwitcher::switch_key(const ring::EvaluationPolynomial& polynomial,
                                       const SwitchingKey& key, KeySwitchEnd end,
                                       ThreadPool* pool) const {
  const ring::CoefficientPolynomial coefficients = to_coefficient(polynomial.clone(), pool);
  return run(FreshDigits(*this, coefficients, &polynomial), key, end, pool);
}

template <typename Digits>
PolynomialPair KeySwitcher::run(const Digits& digits, const SwitchingKey& key, KeySwitchEnd end,
                                ThreadPool* pool) const {
  BAUTA_ASSERT(key.shape.serves(shape_));
  const size_t degree = extended_.degree();
  const size_t limbs = shape_.limbs;
  const size_t special = shape_.special_count;
  // The limbs that are divided away come first, in coefficient form.
  LimbStorage dropped(2 * special, degree);
  ring::for_limb_ranges(special, pool, [&](size_t begin, size_t stop) {
    LimbStorage scratch(digits_.size(), degree);
    for (size_t i = begin; i < stop; ++i) {
      multiply_digits(digits, key, limbs + i, dropped.limb(i), dropped.limb(special + i),
                      scratch.limbs(0, digits_.size()));
      extended_.ntt(limbs + i).inverse(dropped.limb(i));
      extended_.ntt(limbs + i).inverse(dropped.limb(special + i));
    }
  });
  std::vector<ConstLimb> halves[2];
  for (size_t i = 0; i < 2 * special; ++i) halves[i / special].push_back(dropped.limb(i));
  const std::array scaled = {division_.scale(halves[0]), division_.scale(halves[1])};

  const ring::Basis basis = extended_.prefix(limbs);
  const Turn turn(basis.log_degree(), end.element);
  PolynomialPair pair{ring::EvaluationPolynomial::uninitialised(basis),
                      ring::EvaluationPolynomial::uninitialised(basis)};
  ring::for_limb_ranges(limbs, pool, [&](size_t begin, size_t stop) {
    LimbStorage scratch(digits_.size() + 2, degree);
    for (size_t j = begin; j < stop; ++j) {
      const Limb out0 = pair.u0.limb(j);
      const Limb out1 = pair.u1.limb(j);
      const Limb work0 = turn.output_or_scratch(out0, scratch.limb(0));
      const Limb work1 = turn.output_or_scratch(out1, scratch.limb(1));
      multiply_digits(digits, key, j, work0, work1, scratch.limbs(2, digits_.size()));
      division_.divide_limb<ring::Form::evaluation>(scaled[0], j, work0, scratch.limb(2));
      division_.divide_limb<ring::Form::evaluation>(scaled[1], j, work1, scratch.limb(2));
      if (end.addend) add(work0, end.addend->limb(j), basis.constants(j));
      turn.finish(out0, work0);
      turn.finish(out1, work1);
    }
  });
  return pair;
}

PolynomialPair KeySwitcher::switch_key_extended(const Decomposition& decomposition,
                                                const SwitchingKey& key, KeySwitchEnd end,
                                                ThreadPool* pool) const {
  PolynomialPair pair{ring::EvaluationPolynomial::uninitialised(extended_),
                      ring::EvaluationPolynomial::uninitialised(extended_)};
  ring::for_limb_ranges(extended_.size(), pool, [&](size_t begin, size_t stop) {
    LimbStorage scratch(3, extended_.degree());
    for (size_t j = begin; j < stop; ++j)
      switch_key_extended(decomposition, key, end, j, pair.u0.limb(j), pair.u1.limb(j),
                          scratch.limbs(0, 3));
  });
  return pair;
}

void KeySwitcher::switch_key_extended(const Decomposition& decomposition, const SwitchingKey& key,
                                      KeySwitchEnd end, size_t j, Limb out0, Limb out1,
                                      Limb scratch) const {
  BAUTA_ASSERT(key.shape.serves(shape_));
  const size_t degree = extended_.degree();
  const Turn turn(extended_.log_degree(), end.element);
  const Limb work0 = turn.output_or_scratch(out0, scratch.first(degree));
  const Limb work1 = turn.output_or_scratch(out1, scratch.subspan(degree, degree));
  multiply_digits(StoredDigits(decomposition), key, j, work0, work1, {});
  if (end.addend && j < shape_.limbs) {
    const Limb addend = scratch.last(degree);
    multiply_by_special(*end.addend, j, addend);
    add(work0, addend, extended_.constants(j));
  }
  turn.finish(out0, work0);
  turn.finish(out1, work1);
}

template <typename Digits>
void KeySwitcher::multiply_digits(const Digits& digits, const SwitchingKey& key, size_t j,
                                  Limb out0, Limb out1, Limb scratch) const {
  constexpr size_t kMaxDigits = 64;
  const size_t count = digits_.size();
  BAUTA_ASSERT(count <= kMaxDigits);
  const size_t degree = extended_.degree();
  // A key for more limbs has rows in between that are not used here.
  const size_t row = j < shape_.limbs ? j : j + key.shape.limbs - shape_.limbs;
  std::array<const uint32_t*, kMaxDigits> values, b, a;
  for (size_t d = 0; d < count; ++d) {
    const Limb room = scratch.empty() ? scratch : scratch.subspan(d * degree, degree);
    values[d] = digits.limb(d, j, room).data();
    b[d] = key.b[d].limb(row).data();
    a[d] = key.a[d].limb(row).data();
  }
  simd::kernels().inner_product_pair(out0.data(), out1.data(), values.data(), b.data(), a.data(),
                                     count, degree, extended_.constants(j));
}

ring::EvaluationPolynomial KeySwitcher::multiply_by_special(
    const ring::EvaluationPolynomial& polynomial) const {
  BAUTA_ASSERT(polynomial.basis() == extended_.prefix(shape_.limbs));
  auto product = ring::EvaluationPolynomial::uninitialised(extended_);
  for (size_t j = 0; j < extended_.size(); ++j) multiply_by_special(polynomial, j, product.limb(j));
  return product;
}

void KeySwitcher::multiply_by_special(const ring::EvaluationPolynomial& polynomial, size_t j,
                                      Limb out) const {
  if (j >= shape_.limbs) {
    std::ranges::fill(out, 0);
    return;
  }
  simd::kernels().multiply_constant(out.data(), polynomial.limb(j).data(), special_product_[j],
                                    extended_.degree(), extended_.constants(j));
}

}  // namespace bauta::ckks
