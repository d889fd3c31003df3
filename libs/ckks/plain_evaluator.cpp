#include "ckks/plain_evaluator.h"

#include <algorithm>
#include <cmath>

namespace bauta::ckks {
namespace {

double largest_magnitude(std::span<const Complex> slots) {
  double largest = 0;
  for (const Complex& slot : slots) largest = std::max(largest, std::abs(slot));
  return largest;
}

void check_operands(const PlainEvaluator::Ciphertext& a, const PlainEvaluator::Ciphertext& b) {
  BAUTA_ASSERT(a.limbs == b.limbs);
}

void check_addends(const PlainEvaluator::Ciphertext& a, const PlainEvaluator::Ciphertext& b) {
  check_operands(a, b);
  BAUTA_ASSERT(equal_scales(a.scale, b.scale));
}

// What rounding value * scale to an integer takes from the value.
double rounding_error(double value, double scale) {
  return std::abs(std::nearbyint(value * scale) / scale - value);
}

}  // namespace

PlainEvaluator::PlainEvaluator(const Parameters& parameters, std::span<const KeySwitchShape> stages)
    : parameters_(parameters),
      stages_(stages.begin(), stages.end()),
      encoder_(parameters.degree()),
      noise_(parameters) {
  std::ranges::sort(stages_, {}, &KeySwitchShape::limbs);
}

double PlainEvaluator::last_modulus(size_t limbs) const {
  return parameters_.all_moduli().modulus(limbs - 1).value();
}

PlainEvaluator::Ciphertext PlainEvaluator::encrypt(std::span<const Complex> values, double scale,
                                                   size_t limbs, bool public_key) const {
  BAUTA_ASSERT(values.size() <= slots() && limbs >= 1 && limbs <= parameters_.primes().size());
  Ciphertext ciphertext{std::vector<Complex>(slots()), limbs, scale, 0};
  std::ranges::copy(values, ciphertext.slots.begin());
  add_noise(ciphertext,
            noise_.encoding() + (public_key ? noise_.fresh_public() : noise_.fresh_secret()));
  check_size(ciphertext);
  return ciphertext;
}

Result<PlainEvaluator::Plaintext> PlainEvaluator::encode(std::span<const Complex> values,
                                                         double scale, size_t limbs) const {
  BAUTA_CHECK(encoder_.encode(values, scale));
  Plaintext plaintext{std::vector<Complex>(slots()), limbs, scale};
  std::ranges::copy(values, plaintext.slots.begin());
  return plaintext;
}

Result<PlainEvaluator::Plaintext> PlainEvaluator::encode_extended(std::span<const Complex> values,
                                                                  double scale,
                                                                  size_t limbs) const {
  BAUTA_TRY(Plaintext plaintext, encode(values, scale, limbs));
  plaintext.extended = true;
  return plaintext;
}

Result<PlainEvaluator::PeriodicFactors> PlainEvaluator::encode_periodic(
    std::span<const std::vector<double>> values, size_t outputs, double scale, size_t limbs) const {
  BAUTA_ASSERT(outputs > 0 && !values.empty() && values.size() % outputs == 0);
  PeriodicFactors factors{{values.begin(), values.end()}, outputs, limbs, scale};
  const Encoder encoder(2 * values[0].size());
  for (const std::vector<double>& factor : values) {
    BAUTA_ASSERT(factor.size() == values[0].size());
    BAUTA_CHECK(encoder.encode(factor, scale));
  }
  return factors;
}

void PlainEvaluator::add_in_place(Ciphertext& target, const Ciphertext& addend) const {
  check_addends(target, addend);
  for (size_t i = 0; i < target.slots.size(); ++i) target.slots[i] += addend.slots[i];
  target.deviation = std::hypot(target.deviation, addend.deviation);
  check_size(target);
}

void PlainEvaluator::subtract_in_place(Ciphertext& target, const Ciphertext& subtrahend) const {
  check_addends(target, subtrahend);
  for (size_t i = 0; i < target.slots.size(); ++i) target.slots[i] -= subtrahend.slots[i];
  target.deviation = std::hypot(target.deviation, subtrahend.deviation);
  check_size(target);
}

void PlainEvaluator::add_in_place(Product& target, const Product& addend) const {
  add_in_place(target.value, addend.value);
}

void PlainEvaluator::negate_in_place(Ciphertext& target) const {
  for (Complex& slot : target.slots) slot = -slot;
}

void PlainEvaluator::add_plain_in_place(Ciphertext& target, const Plaintext& addend) const {
  BAUTA_ASSERT(equal_scales(target.scale, addend.scale));
  BAUTA_ASSERT(addend.limbs >= target.limbs && !addend.extended);
  for (size_t i = 0; i < target.slots.size(); ++i) target.slots[i] += addend.slots[i];
  add_noise(target, noise_.encoding());
  check_size(target);
}

void PlainEvaluator::multiply_plain_in_place(Ciphertext& target, const Plaintext& factor) const {
  BAUTA_ASSERT(factor.limbs >= target.limbs && !factor.extended);
  const double factor_deviation = noise_.slot_deviation(noise_.encoding(), factor.scale);
  target.deviation = std::hypot(target.deviation * largest_magnitude(factor.slots),
                                factor_deviation * largest_magnitude(target.slots));
  for (size_t i = 0; i < target.slots.size(); ++i) target.slots[i] *= factor.slots[i];
  target.scale *= factor.scale;
  check_size(target);
}

void PlainEvaluator::add_constant_in_place(Ciphertext& target, double value) const {
  for (Complex& slot : target.slots) slot += value;
  target.deviation = std::hypot(target.deviation, rounding_error(value, target.scale));
  check_size(target);
}

void PlainEvaluator::multiply_constant_in_place(Ciphertext& target, double value,
                                                double scale) const {
  target.deviation = std::hypot(target.deviation * value,
                                rounding_error(value, scale) * largest_magnitude(target.slots));
  for (Complex& slot : target.slots) slot *= value;
  target.scale *= scale;
  check_size(target);
}

PlainEvaluator::Product PlainEvaluator::multiply(const Ciphertext& a, const Ciphertext& b) const {
  check_operands(a, b);
  Product product{a};
  for (size_t i = 0; i < a.slots.size(); ++i) product.value.slots[i] *= b.slots[i];
  product.value.scale = a.scale * b.scale;
  const double first_order = std::hypot(a.deviation * largest_magnitude(b.slots),
                                        b.deviation * largest_magnitude(a.slots));
  product.value.deviation = std::hypot(first_order, a.deviation * b.deviation);
  check_size(product.value);
  return product;
}

// The two errors are one.
PlainEvaluator::Product PlainEvaluator::square(const Ciphertext& a) const {
  Product product = multiply(a, a);
  product.value.deviation = std::hypot(2 * a.deviation * largest_magnitude(a.slots),
                                       std::sqrt(2.0) * a.deviation * a.deviation);
  return product;
}

PlainEvaluator::Ciphertext PlainEvaluator::relinearize(Product&& product) const {
  switch_key(product.value, KeyUse::kRelinearization, /*divide=*/true);
  return std::move(product.value);
}

void PlainEvaluator::rescale_in_place(Ciphertext& target) const {
  BAUTA_ASSERT(target.limbs >= 2);
  target.scale /= last_modulus(target.limbs);
  target.limbs -= 1;
  add_noise(target, noise_.division());
}

void PlainEvaluator::drop_limbs_in_place(Ciphertext& target, size_t limbs) const {
  BAUTA_ASSERT(limbs >= 1 && limbs <= target.limbs);
  target.limbs = limbs;
  check_size(target);
}

PlainEvaluator::Ciphertext PlainEvaluator::rotate(const Ciphertext& ciphertext,
                                                  int64_t steps) const {
  return rotate(hoist(ciphertext), steps);
}

PlainEvaluator::Ciphertext PlainEvaluator::conjugate(const Ciphertext& ciphertext) const {
  Ciphertext image = ciphertext;
  for (Complex& slot : image.slots) slot = std::conj(slot);
  switch_key(image, conjugation_element(parameters_.degree()), /*divide=*/true);
  return image;
}

PlainEvaluator::Ciphertext PlainEvaluator::rotate(const Hoisted& hoisted, int64_t steps) const {
  Ciphertext image = turned(*hoisted.source, steps);
  switch_key(image, rotation_element(steps, parameters_.degree()), /*divide=*/true);
  return image;
}

PlainEvaluator::Extended PlainEvaluator::rotate_extended(const Hoisted& hoisted,
                                                         int64_t steps) const {
  Extended extended{turned(*hoisted.source, steps)};
  switch_key(extended.value, rotation_element(steps, parameters_.degree()), /*divide=*/false);
  return extended;
}

PlainEvaluator::Extended PlainEvaluator::rotate_extended(Extended&& extended, int64_t steps) const {
  const uint32_t element = rotation_element(steps, parameters_.degree());
  if (element == 1) return std::move(extended);
  Extended image{turned(extended.value, steps)};
  add_noise(image.value, noise_.division());
  switch_key(image.value, element, /*divide=*/false);
  return image;
}

void PlainEvaluator::add_in_place(Extended& target, const Extended& addend) const {
  add_in_place(target.value, addend.value);
}

PlainEvaluator::Extended PlainEvaluator::inner_product(
    std::span<const Extended* const> terms, std::span<const Plaintext* const> factors) const {
  BAUTA_ASSERT(!terms.empty() && terms.size() == factors.size());
  const Ciphertext& first = terms[0]->value;
  const double factor_deviation = noise_.slot_deviation(noise_.encoding(), factors[0]->scale);
  Extended sum{
      Ciphertext{std::vector<Complex>(slots()), first.limbs, first.scale * factors[0]->scale, 0}};
  for (size_t t = 0; t < terms.size(); ++t) {
    const Ciphertext& term = terms[t]->value;
    check_addends(first, term);
    BAUTA_ASSERT(factors[t]->extended && factors[t]->limbs == term.limbs);
    BAUTA_ASSERT(equal_scales(factors[0]->scale, factors[t]->scale));
    for (size_t i = 0; i < slots(); ++i) sum.value.slots[i] += term.slots[i] * factors[t]->slots[i];
    const double deviation = std::hypot(term.deviation * largest_magnitude(factors[t]->slots),
                                        factor_deviation * largest_magnitude(term.slots));
    sum.value.deviation = std::hypot(sum.value.deviation, deviation);
  }
  check_size(sum.value);
  return sum;
}

PlainEvaluator::Ciphertext PlainEvaluator::weighted_sum(std::span<const Extended* const> terms,
                                                        const PeriodicFactors& factors,
                                                        size_t output) const {
  const size_t period = factors.values[0].size();
  // Only as many coefficients as the period allows are rounded.
  const double rounding = noise_.slot_deviation(noise_.encoding(), factors.scale) *
                          std::sqrt(static_cast<double>(period) / static_cast<double>(slots()));
  Ciphertext sum{std::vector<Complex>(slots()), factors.limbs,
                 terms[0]->value.scale * factors.scale, 0};
  std::vector<double> variances(period);
  for (size_t t = 0; t < terms.size(); ++t) {
    const Ciphertext& term = terms[t]->value;
    const std::vector<double>& factor = factors.values[output * terms.size() + t];
    const double rounded = rounding * largest_magnitude(term.slots);
    for (size_t i = 0; i < slots(); ++i) sum.slots[i] += term.slots[i] * factor[i % period];
    for (size_t i = 0; i < period; ++i)
      variances[i] += std::pow(term.deviation * factor[i], 2) + rounded * rounded;
  }
  sum.deviation = std::sqrt(*std::ranges::max_element(variances));
  check_size(sum);
  return sum;
}

std::vector<PlainEvaluator::Extended> PlainEvaluator::rotate_and_sum(
    std::span<const Hoisted> sources, std::span<const Turn> turns,
    std::span<const Sums> sums) const {
  std::vector<Extended> rotations;
  for (const Turn& turn : turns)
    rotations.push_back(rotate_extended(sources[turn.source], turn.steps));
  std::vector<Extended> results;
  for (const Sums& sum : sums) {
    BAUTA_ASSERT(sum.factors->values.size() == sum.factors->outputs * sum.terms.size());
    std::vector<const Extended*> terms;
    for (const size_t t : sum.terms) {
      BAUTA_ASSERT(rotations[t].value.limbs == sum.factors->limbs);
      terms.push_back(&rotations[t]);
    }
    for (size_t o = 0; o < sum.factors->outputs; ++o)
      results.push_back({weighted_sum(terms, *sum.factors, o)});
  }
  return results;
}

PlainEvaluator::Ciphertext PlainEvaluator::reduce(Extended&& extended) const {
  add_noise(extended.value, noise_.division());
  return std::move(extended.value);
}

const KeySwitchShape& PlainEvaluator::stage(size_t limbs) const {
  const auto stage = std::ranges::find_if(
      stages_, [&](const KeySwitchShape& shape) { return shape.limbs >= limbs; });
  BAUTA_ASSERT(stage != stages_.end());
  return *stage;
}

void PlainEvaluator::switch_key(Ciphertext& target, uint32_t element, bool divide) const {
  if (element == 1) return;
  key_uses_.insert({element, target.limbs});
  add_noise(target, noise_.key_switch(stage(target.limbs).at(target.limbs)) +
                        (divide ? noise_.division() : 0));
}

void PlainEvaluator::add_noise(Ciphertext& target, double variance) const {
  target.deviation = std::hypot(target.deviation, noise_.slot_deviation(variance, target.scale));
}

// A coefficient is an average of slots turned around, so none is larger than the largest slot.
void PlainEvaluator::check_size(const Ciphertext& ciphertext) const {
  const double log2_half = parameters_.all_moduli().prefix(ciphertext.limbs).log2_modulus() - 1;
  BAUTA_ASSERT(largest_magnitude(ciphertext.slots) * ciphertext.scale < std::exp2(log2_half));
}

PlainEvaluator::Ciphertext PlainEvaluator::turned(const Ciphertext& source, int64_t steps) const {
  const auto count = static_cast<int64_t>(slots());
  Ciphertext image = source;
  std::rotate(image.slots.begin(), image.slots.begin() + (steps % count + count) % count,
              image.slots.end());
  return image;
}

}  // namespace bauta::ckks
