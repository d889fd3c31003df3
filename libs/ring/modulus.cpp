#include "ring/modulus.h"

#include <bit>

#include "ring/primes.h"

namespace bauta::ring {

Result<Modulus> Modulus::create(uint64_t value) {
  if (value < 3 || value >= (1u << 30) || !is_prime(value))
    return make_error(ErrorCode::invalid_argument, "{} is not an odd prime below 2^30", value);
  Modulus modulus;
  simd::ModulusConstants& constants = modulus.constants_;
  constants.value = static_cast<uint32_t>(value);
  constants.bits = static_cast<uint32_t>(std::bit_width(value));
  constants.ratio = static_cast<uint32_t>((uint64_t{1} << (constants.bits + 31)) / value);
  constants.word_ratio = static_cast<uint32_t>((uint64_t{1} << 32) / value);
  modulus.two_to_63_ = modulus.reduce(uint64_t{1} << 63);
  return modulus;
}

uint32_t Modulus::power(uint32_t base, uint64_t exponent) const {
  uint32_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = multiply(result, base);
    base = multiply(base, base);
  }
  return result;
}

uint32_t Modulus::inverse(uint32_t a) const {
  BAUTA_ASSERT(a != 0 && a < value());
  return power(a, value() - 2);
}

}  // namespace bauta::ring
