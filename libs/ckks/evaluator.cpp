#include "ckks/evaluator.h"

#include <cmath>

#include "ring/automorphism.h"
#include "ring/limb_loop.h"

namespace bauta::ckks {
namespace {

// Every modulus's residue of an integer.
std::vector<uint32_t> residues(double value, const ring::Basis& basis) {
  const double rounded = std::nearbyint(value);
  BAUTA_ASSERT(std::abs(rounded) < kMaxMessageCoefficient);
  std::vector<uint32_t> constants;
  for (size_t i = 0; i < basis.size(); ++i)
    constants.push_back(basis.modulus(i).reduce_signed(static_cast<int64_t>(rounded)));
  return constants;
}

// Both halves of all rotations modulo one prime. The limbs lie a cache line more than a power of
// two apart: else equal places of all of them would want the same few lines of the cache.
class RotatedLimbs {
 public:
  RotatedLimbs(size_t count, size_t degree)
      : count_(count), degree_(degree), words_((2 * count + 3) * (degree + kApart)) {}

  ring::Limb half(size_t half, size_t t) {
    return {words_.data() + (half * count_ + t) * (degree_ + kApart), degree_};
  }
  // Three limbs.
  ring::Limb scratch() { return {words_.data() + 2 * count_ * (degree_ + kApart), 3 * degree_}; }

 private:
  static constexpr size_t kApart = 16;
  size_t count_, degree_;
  ring::WordStorage words_;
};

// out[o] = the sum over t of factors(o, t) * terms[t], modulo modulus j.
void multiply_blocks(std::span<const ring::Limb> out, std::span<const ring::ConstLimb> terms,
                     const PeriodicFactors& factors, size_t j) {
  const size_t blocks = 2 * factors.period;
  const size_t block_size = factors.basis.degree() / blocks;
  std::vector<uint32_t*> sums(out.size());
  std::vector<const uint32_t*> inputs(terms.size());
  for (size_t block = 0; block < blocks; ++block) {
    for (size_t o = 0; o < out.size(); ++o) sums[o] = out[o].data() + block * block_size;
    for (size_t t = 0; t < terms.size(); ++t) inputs[t] = terms[t].data() + block * block_size;
    simd::kernels().weighted_sums(sums.data(), inputs.data(), factors.block_factors(j, block),
                                  out.size(), terms.size(), block_size, factors.basis.constants(j));
  }
}

template <typename A, typename B>
void check_operands(const A& a, const B& b) {
  BAUTA_ASSERT(a.key_id == b.key_id);
  BAUTA_ASSERT(a.c0.limb_count() == b.c0.limb_count());
}

template <typename A, typename B>
void check_addends(const A& a, const B& b) {
  check_operands(a, b);
  BAUTA_ASSERT(equal_scales(a.scale, b.scale));
}

}  // namespace

bool equal_scales(double a, double b) {
  return std::abs(a - b) <= kScaleTolerance * a;
}

Evaluator::Evaluator(const Parameters& parameters, std::shared_ptr<const KeySet> keys,
                     ThreadPool* pool)
    : parameters_(parameters), keys_(std::move(keys)), pool_(pool), encoder_(parameters.degree()) {}

double Evaluator::last_modulus(size_t limbs) const {
  return parameters_.all_moduli().modulus(limbs - 1).value();
}

Result<Plaintext> Evaluator::encode(std::span<const Complex> values, double scale,
                                    size_t limbs) const {
  BAUTA_TRY(const Message message, encoder_.encode(values, scale));
  return make_plaintext(message, parameters_.ciphertext_moduli().prefix(limbs), pool_);
}

Result<Plaintext> Evaluator::encode_extended(std::span<const Complex> values, double scale,
                                             size_t limbs) const {
  BAUTA_TRY(const Message message, encoder_.encode(values, scale));
  return make_plaintext(message, switcher(limbs).extended_basis(), pool_);
}

Result<PeriodicFactors> Evaluator::encode_periodic(std::span<const std::vector<double>> values,
                                                   size_t outputs, double scale,
                                                   size_t limbs) const {
  return ckks::encode_periodic(values, outputs, scale, switcher(limbs).extended_basis(), pool_);
}

void Evaluator::add_in_place(Ciphertext& target, const Ciphertext& addend) const {
  check_addends(target, addend);
  ring::add_in_place(target.c0, addend.c0);
  ring::add_in_place(target.c1, addend.c1);
}

void Evaluator::subtract_in_place(Ciphertext& target, const Ciphertext& subtrahend) const {
  check_addends(target, subtrahend);
  ring::subtract_in_place(target.c0, subtrahend.c0);
  ring::subtract_in_place(target.c1, subtrahend.c1);
}

void Evaluator::add_in_place(Product& target, const Product& addend) const {
  check_addends(target, addend);
  ring::add_in_place(target.c0, addend.c0);
  ring::add_in_place(target.c1, addend.c1);
  ring::add_in_place(target.c2, addend.c2);
}

void Evaluator::negate_in_place(Ciphertext& target) const {
  ring::negate_in_place(target.c0);
  ring::negate_in_place(target.c1);
}

void Evaluator::add_plain_in_place(Ciphertext& target, const Plaintext& addend) const {
  BAUTA_ASSERT(equal_scales(target.scale, addend.scale));
  ring::add_in_place(target.c0, addend.polynomial);
}

void Evaluator::multiply_plain_in_place(Ciphertext& target, const Plaintext& factor) const {
  ring::multiply_in_place(target.c0, factor.polynomial);
  ring::multiply_in_place(target.c1, factor.polynomial);
  target.scale *= factor.scale;
}

void Evaluator::add_constant_in_place(Ciphertext& target, double value) const {
  const std::vector<uint32_t> constants = residues(value * target.scale, target.c0.basis());
  for (size_t i = 0; i < constants.size(); ++i) {
    const ring::Modulus& modulus = target.c0.basis().modulus(i);
    for (uint32_t& word : target.c0.limb(i)) word = modulus.add(word, constants[i]);
  }
}

void Evaluator::multiply_constant_in_place(Ciphertext& target, double value, double scale) const {
  const std::vector<uint32_t> constants = residues(value * scale, target.c0.basis());
  ring::multiply_constant_in_place(target.c0, constants);
  ring::multiply_constant_in_place(target.c1, constants);
  target.scale *= scale;
}

Evaluator::Product Evaluator::multiply(const Ciphertext& a, const Ciphertext& b) const {
  check_operands(a, b);
  const ring::Basis& basis = a.c0.basis();
  Product product{ring::EvaluationPolynomial::uninitialised(basis),
                  ring::EvaluationPolynomial::uninitialised(basis),
                  ring::EvaluationPolynomial::uninitialised(basis), a.scale * b.scale, a.key_id};
  const simd::Kernels& kernels = simd::kernels();
  ring::for_each_limb(basis.size(), pool_, [&](size_t i) {
    const size_t degree = basis.degree();
    const simd::ModulusConstants& modulus = basis.constants(i);
    const uint32_t* left[] = {a.c0.limb(i).data(), a.c1.limb(i).data()};
    const uint32_t* crossed[] = {b.c1.limb(i).data(), b.c0.limb(i).data()};
    kernels.multiply(product.c0.limb(i).data(), left[0], crossed[1], degree, modulus);
    kernels.inner_product(product.c1.limb(i).data(), left, crossed, 2, degree, modulus);
    kernels.multiply(product.c2.limb(i).data(), left[1], crossed[0], degree, modulus);
  });
  return product;
}

Evaluator::Product Evaluator::square(const Ciphertext& a) const {
  return multiply(a, a);
}

Evaluator::Ciphertext Evaluator::relinearize(Product&& product) const {
  const size_t limbs = product.c0.limb_count();
  PolynomialPair pair = switcher(limbs).switch_key(product.c2, key(KeyUse::kRelinearization, limbs),
                                                   {.addend = &product.c0}, pool_);
  ring::add_in_place(pair.u1, product.c1);
  return {std::move(pair.u0), std::move(pair.u1), product.scale, product.key_id};
}

void Evaluator::rescale_in_place(Ciphertext& target) const {
  const size_t limbs = target.limbs();
  BAUTA_ASSERT(limbs >= 2);
  const ring::Basis& basis = target.c0.basis();
  const ring::RoundedDivision division(basis.prefix(limbs - 1), basis.slice(limbs - 1, 1));
  const double modulus = last_modulus(limbs);
  target.c0 = division.apply(std::move(target.c0), pool_);
  target.c1 = division.apply(std::move(target.c1), pool_);
  target.scale /= modulus;
}

void Evaluator::drop_limbs_in_place(Ciphertext& target, size_t limbs) const {
  BAUTA_ASSERT(limbs >= 1 && limbs <= target.limbs());
  target.c0.keep_limbs(limbs);
  target.c1.keep_limbs(limbs);
}

Evaluator::Ciphertext Evaluator::rotate(const Ciphertext& ciphertext, int64_t steps) const {
  return turn(ciphertext, ciphertext.c1, rotation_element(steps, parameters_.degree()));
}

Evaluator::Ciphertext Evaluator::conjugate(const Ciphertext& ciphertext) const {
  return turn(ciphertext, ciphertext.c1, conjugation_element(parameters_.degree()));
}

Evaluator::Hoisted Evaluator::hoist(const Ciphertext& ciphertext) const {
  return {&ciphertext, switcher(ciphertext.limbs()).decompose(ciphertext.c1, pool_)};
}

Evaluator::Ciphertext Evaluator::rotate(const Hoisted& hoisted, int64_t steps) const {
  return turn(*hoisted.source, hoisted.digits, rotation_element(steps, parameters_.degree()));
}

// second_half: c1 of the source, or its decomposition.
template <typename SecondHalf>
Evaluator::Ciphertext Evaluator::turn(const Ciphertext& source, const SecondHalf& second_half,
                                      uint32_t element) const {
  if (element == 1) return source.clone();
  PolynomialPair pair = switcher(source.limbs())
                            .switch_key(second_half, key(element, source.limbs()),
                                        {.addend = &source.c0, .element = element}, pool_);
  return {std::move(pair.u0), std::move(pair.u1), source.scale, source.key_id};
}

Evaluator::Extended Evaluator::rotate_extended(const Hoisted& hoisted, int64_t steps) const {
  const Ciphertext& source = *hoisted.source;
  const KeySwitcher& switcher = this->switcher(source.limbs());
  const uint32_t element = rotation_element(steps, parameters_.degree());
  PolynomialPair pair = element == 1 ? PolynomialPair{switcher.multiply_by_special(source.c0),
                                                      switcher.multiply_by_special(source.c1)}
                                     : switcher.switch_key_extended(
                                           hoisted.digits, key(element, source.limbs()),
                                           {.addend = &source.c0, .element = element}, pool_);
  return {std::move(pair.u0), std::move(pair.u1), source.limbs(), source.scale, source.key_id};
}

Evaluator::Extended Evaluator::rotate_extended(Extended&& extended, int64_t steps) const {
  const uint32_t element = rotation_element(steps, parameters_.degree());
  if (element == 1) return std::move(extended);
  const size_t limbs = extended.limbs;
  const KeySwitcher& switcher = this->switcher(limbs);
  const ring::EvaluationPolynomial c1 = switcher.divide_by_special(std::move(extended.c1), pool_);
  PolynomialPair pair =
      switcher.switch_key_extended(switcher.decompose(c1, pool_), key(element, limbs), {}, pool_);
  ring::add_in_place(pair.u0, extended.c0);
  return {turned(pair.u0, element), turned(pair.u1, element), limbs, extended.scale,
          extended.key_id};
}

void Evaluator::add_in_place(Extended& target, const Extended& addend) const {
  check_addends(target, addend);
  BAUTA_ASSERT(target.limbs == addend.limbs);
  ring::add_in_place(target.c0, addend.c0);
  ring::add_in_place(target.c1, addend.c1);
}

Evaluator::Extended Evaluator::inner_product(std::span<const Extended* const> terms,
                                             std::span<const Plaintext* const> factors) const {
  BAUTA_ASSERT(!terms.empty() && terms.size() == factors.size());
  const Extended& first = *terms[0];
  const ring::Basis& basis = first.c0.basis();
  for (size_t t = 0; t < terms.size(); ++t) {
    check_addends(first, *terms[t]);
    BAUTA_ASSERT(first.limbs == terms[t]->limbs && factors[t]->polynomial.basis() == basis);
    BAUTA_ASSERT(equal_scales(factors[0]->scale, factors[t]->scale));
  }
  Extended sum{ring::EvaluationPolynomial::uninitialised(basis),
               ring::EvaluationPolynomial::uninitialised(basis), first.limbs,
               first.scale * factors[0]->scale, first.key_id};
  ring::for_each_limb(basis.size(), pool_, [&](size_t i) {
    std::vector<const uint32_t*> factor_limbs, c0_limbs, c1_limbs;
    for (size_t t = 0; t < terms.size(); ++t) {
      factor_limbs.push_back(factors[t]->polynomial.limb(i).data());
      c0_limbs.push_back(terms[t]->c0.limb(i).data());
      c1_limbs.push_back(terms[t]->c1.limb(i).data());
    }
    simd::kernels().inner_product_pair(sum.c0.limb(i).data(), sum.c1.limb(i).data(),
                                       factor_limbs.data(), c0_limbs.data(), c1_limbs.data(),
                                       terms.size(), basis.degree(), basis.constants(i));
  });
  return sum;
}

std::vector<Evaluator::Extended> Evaluator::rotate_and_sum(std::span<const Hoisted> sources,
                                                           std::span<const Turn> turns,
                                                           std::span<const Sums> sums) const {
  const Ciphertext& first = *sources[0].source;
  for (const Hoisted& hoisted : sources) check_addends(first, *hoisted.source);
  const size_t limbs = first.limbs();
  const KeySwitcher& switcher = this->switcher(limbs);
  const ring::Basis& basis = switcher.extended_basis();
  std::vector<Extended> results;
  for (const Sums& sum : sums) {
    BAUTA_ASSERT(sum.factors->basis == basis && sum.factors->terms == sum.terms.size());
    for (size_t o = 0; o < sum.factors->outputs; ++o)
      results.push_back({ring::EvaluationPolynomial::uninitialised(basis),
                         ring::EvaluationPolynomial::uninitialised(basis), limbs,
                         first.scale * sum.factors->scale, first.key_id});
  }
  std::vector<uint32_t> elements;
  std::vector<const SwitchingKey*> keys;
  for (const Turn& turn : turns) {
    elements.push_back(rotation_element(turn.steps, parameters_.degree()));
    keys.push_back(elements.back() == 1 ? nullptr : &key(elements.back(), limbs));
  }
  // One modulus after the other, so that the rotations of a modulus stay in the cache.
  ring::for_limb_ranges(basis.size(), pool_, [&](size_t begin, size_t end) {
    RotatedLimbs rotated(turns.size(), basis.degree());
    for (size_t j = begin; j < end; ++j) {
      for (size_t t = 0; t < turns.size(); ++t) {
        const Hoisted& hoisted = sources[turns[t].source];
        const Ciphertext& source = *hoisted.source;
        if (keys[t] == nullptr) {
          switcher.multiply_by_special(source.c0, j, rotated.half(0, t));
          switcher.multiply_by_special(source.c1, j, rotated.half(1, t));
        } else {
          switcher.switch_key_extended(hoisted.digits, *keys[t],
                                       {.addend = &source.c0, .element = elements[t]}, j,
                                       rotated.half(0, t), rotated.half(1, t), rotated.scratch());
        }
      }
      for (size_t half = 0; half < 2; ++half) {
        auto result = results.begin();
        for (const Sums& sum : sums) {
          std::vector<ring::Limb> out;
          for (size_t o = 0; o < sum.factors->outputs; ++o, ++result)
            out.push_back((half == 0 ? result->c0 : result->c1).limb(j));
          std::vector<ring::ConstLimb> terms;
          for (const size_t t : sum.terms) terms.push_back(rotated.half(half, t));
          multiply_blocks(out, terms, *sum.factors, j);
        }
      }
    }
  });
  return results;
}

Evaluator::Ciphertext Evaluator::reduce(Extended&& extended) const {
  const KeySwitcher& switcher = this->switcher(extended.limbs);
  return {switcher.divide_by_special(std::move(extended.c0), pool_),
          switcher.divide_by_special(std::move(extended.c1), pool_), extended.scale,
          extended.key_id};
}

const SwitchingKey& Evaluator::key(uint32_t element, size_t limbs) const {
  const SwitchingKey* key = keys_->find({element, limbs});
  BAUTA_ASSERT(key != nullptr);
  return *key;
}

const KeySwitcher& Evaluator::switcher(size_t limbs) const {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<const KeySwitcher>& switcher = switchers_[limbs];
  if (!switcher) {
    const KeySwitchShape* stage = keys_->stage(limbs);
    BAUTA_ASSERT(stage != nullptr);
    switcher = std::make_unique<const KeySwitcher>(parameters_, stage->at(limbs));
  }
  return *switcher;
}

ring::EvaluationPolynomial Evaluator::turned(const ring::EvaluationPolynomial& polynomial,
                                             uint32_t element) const {
  const auto& automorphism = ring::Automorphism::get(polynomial.basis().log_degree(), element);
  auto image = ring::EvaluationPolynomial::uninitialised(polynomial.basis());
  ring::for_each_limb(image.limb_count(), pool_, [&](size_t i) {
    automorphism.apply_evaluation(image.limb(i), polynomial.limb(i));
  });
  return image;
}

}  // namespace bauta::ckks
