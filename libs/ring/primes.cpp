#include "ring/primes.h"

#include <bit>

namespace bauta::ring {
namespace {

constexpr uint64_t kLimit = uint64_t{1} << 30;

// __extension__: the 128-bit type is not of the standard.
__extension__ using Wide = unsigned __int128;

uint64_t multiply(uint64_t a, uint64_t b, uint64_t modulus) {
  return static_cast<uint64_t>(Wide{a} * b % modulus);
}

uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus) {
  uint64_t result = 1;
  for (; exponent != 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result = multiply(result, base, modulus);
    base = multiply(base, base, modulus);
  }
  return result;
}

// Whether `base` shows that the odd `value` is composite.
bool is_witness(uint64_t base, uint64_t value) {
  const int twos = std::countr_zero(value - 1);
  uint64_t x = power(base, (value - 1) >> twos, value);
  if (x == 1 || x == value - 1) return false;
  for (int i = 1; i < twos; ++i) {
    x = multiply(x, x, value);
    if (x == value - 1) return false;
  }
  return true;
}

Error too_few(size_t count, uint64_t step) {
  return make_error(ErrorCode::invalid_argument,
                    "there are no {} primes that are 1 modulo {} in the range asked for", count,
                    step);
}

}  // namespace

bool is_prime(uint64_t value) {
  if (value < 2) return false;
  for (uint64_t prime : {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37})
    if (value % prime == 0) return value == prime;
  for (uint64_t base : {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37})
    if (is_witness(base, value)) return false;
  return true;
}

Result<std::vector<uint32_t>> primes_below(uint32_t bound, size_t count, uint64_t step) {
  BAUTA_ASSERT(step > 0);
  std::vector<uint32_t> primes;
  if (bound < 2) return too_few(count, step);
  for (uint64_t candidate = (bound - 2) / step * step + 1; primes.size() < count;
       candidate -= step) {
    if (candidate < step || candidate < 2) return too_few(count, step);
    if (is_prime(candidate)) primes.push_back(static_cast<uint32_t>(candidate));
  }
  return primes;
}

Result<std::vector<uint32_t>> primes_near(uint32_t target, size_t count, uint64_t step) {
  BAUTA_ASSERT(step > 0 && target >= 1);
  std::vector<uint32_t> primes;
  uint64_t below = (target - 1) / step * step + 1;  // <= target; 1 once exhausted
  uint64_t above = below + step;
  while (primes.size() < count) {
    if (below <= 1 && above >= kLimit) return too_few(count, step);
    const bool take_below = below > 1 && (above >= kLimit || target - below <= above - target);
    const uint64_t candidate = take_below ? below : above;
    if (take_below)
      below = below > step ? below - step : 1;
    else
      above += step;
    if (candidate < kLimit && is_prime(candidate))
      primes.push_back(static_cast<uint32_t>(candidate));
  }
  return primes;
}

}  // namespace bauta::ring
