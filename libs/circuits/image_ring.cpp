#include "circuits/image_ring.h"

#include <algorithm>

#include "ring/primes.h"

namespace bauta::circuits {
namespace {

constexpr uint32_t kSpecialPrimeBound = 1u << 30;
constexpr uint32_t kLevelPrimeTarget = 1u << 29;
constexpr size_t kMaxLevels = 32;
constexpr double kLog2BasePrimes = 60, kLog2LevelPrime = 29, kLog2SpecialPrime = 29.99;

// The largest primes that the gallery does not use.
Result<std::vector<uint32_t>> special_primes(const std::vector<uint32_t>& base, size_t count) {
  BAUTA_TRY(std::vector<uint32_t> primes,
            ring::primes_below(kSpecialPrimeBound, count + base.size()));
  std::erase_if(primes, [&](uint32_t prime) { return std::ranges::count(base, prime) > 0; });
  primes.resize(count);
  return primes;
}

// Special primes that a digit of so many limbs, the first with the base primes, asks for.
size_t special_count(size_t digit_limbs) {
  const double log2_digit =
      kLog2BasePrimes + kLog2LevelPrime * static_cast<double>(digit_limbs - kBaseLimbs);
  return static_cast<size_t>(std::ceil(log2_digit / kLog2SpecialPrime));
}

// Keys for ciphertexts of so many limbs, in as few digits as all the moduli beyond these allow.
ckks::KeySwitchShape narrow_shape(const ckks::Parameters& parameters, size_t limbs) {
  const ring::Basis& moduli = parameters.all_moduli();
  for (size_t digits = 1;; ++digits) {
    const size_t digit_limbs = (limbs + digits - 1) / digits;
    const double wanted = moduli.prefix(digit_limbs).log2_modulus();
    for (size_t special = digit_limbs; limbs + special <= moduli.size(); ++special)
      if (moduli.slice(limbs, special).log2_modulus() >= wanted)
        return {limbs, limbs, special, digit_limbs};
    BAUTA_ASSERT(digit_limbs > 1);
  }
}

// What a rotation reads of its key, in limbs.
size_t rotation_cost(const ckks::KeySwitchShape& shape) {
  return shape.digits() * (shape.limbs + shape.special_count);
}

}  // namespace

Result<ImageRing> ImageRing::create(size_t levels, size_t degree) {
  return build(levels, degree, /*insecure=*/false);
}

Result<ImageRing> ImageRing::insecure_create(size_t levels, size_t degree) {
  return build(levels, degree, /*insecure=*/true);
}

const ckks::KeySwitchShape& ImageRing::stage(size_t limbs) const {
  return *std::ranges::min_element(stages_, {}, [&](const ckks::KeySwitchShape& shape) {
    return shape.limbs >= limbs ? shape.limbs : SIZE_MAX;
  });
}

ImageRing ImageRing::with_stages(const std::set<size_t>& limbs) const {
  ImageRing ring = *this;
  ring.stages_ = {stages_.front()};
  for (auto most_first = limbs.rbegin(); most_first != limbs.rend(); ++most_first) {
    const size_t count = *most_first;
    if (count >= ring.stages_.back().limbs || count <= kLinearLimbs) continue;
    const ckks::KeySwitchShape shape = narrow_shape(parameters_, count);
    if (4 * rotation_cost(shape) <= 3 * rotation_cost(ring.stages_.back().at(count)))
      ring.stages_.push_back(shape);
  }
  if (stages_.size() > 1) ring.stages_.push_back(stages_.back());
  return ring;
}

Result<ImageRing> ImageRing::build(size_t levels, size_t degree, bool insecure) {
  if (levels == 0 || levels > kMaxLevels)
    return make_error(ErrorCode::invalid_argument, "{} multiplicative levels; 1 to {} are possible",
                      levels, kMaxLevels);
  BAUTA_TRY(const match::Parameters gallery, match::Parameters::create(1));
  ckks::ParametersLiteral literal{
      .degree = degree, .primes = gallery.ring().primes(), .special_primes = {}};
  BAUTA_TRY(const auto level_primes, ring::primes_near(kLevelPrimeTarget, levels));
  literal.primes.insert(literal.primes.end(), level_primes.begin(), level_primes.end());

  const size_t limbs = literal.primes.size();
  // Fewer digits are cheaper and want more special primes. Tests should see more than one.
  for (size_t digits = insecure ? 2 : 1;; ++digits) {
    const size_t digit_limbs = std::max((limbs + digits - 1) / digits, kBaseLimbs);
    BAUTA_TRY(literal.special_primes, special_primes(literal.primes, special_count(digit_limbs)));
    const Result<ckks::Parameters> parameters =
        insecure ? ckks::Parameters::insecure_create(literal) : ckks::Parameters::create(literal);
    if (!parameters.ok()) {
      if (digit_limbs > kBaseLimbs) continue;
      return make_error(ErrorCode::invalid_argument,
                        "{} multiplicative levels are more than ring degree {} has security for",
                        levels, degree);
    }
    std::vector<ckks::KeySwitchShape> stages = {ckks::top_shape(*parameters, digit_limbs)};
    if (limbs > kLinearLimbs)
      stages.push_back(literal.special_primes.size() < special_count(kLinearLimbs)
                           ? narrow_shape(*parameters, kLinearLimbs)
                           : ckks::KeySwitchShape{.limbs = kLinearLimbs,
                                                  .special_begin = limbs,
                                                  .special_count = special_count(kLinearLimbs),
                                                  .digit_limbs = kLinearLimbs});
    for (const ckks::KeySwitchShape& stage : stages)
      BAUTA_CHECK(ckks::check_shape(*parameters, stage));
    return ImageRing(*parameters, std::move(stages));
  }
}

}  // namespace bauta::circuits
