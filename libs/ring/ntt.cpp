#include "ring/ntt.h"

#include <map>
#include <memory>
#include <mutex>

namespace bauta::ring {
namespace {

uint32_t reverse_bits(uint32_t x, size_t bits) {
  uint32_t reversed = 0;
  for (size_t i = 0; i < bits; ++i) reversed |= ((x >> i) & 1u) << (bits - 1 - i);
  return reversed;
}

// The smallest element of order exactly `order`, a power of two that divides q - 1.
uint32_t smallest_primitive_root(const Modulus& modulus, uint32_t order) {
  const uint32_t q = modulus.value();
  uint32_t root = 0;
  for (uint32_t candidate = 2;; ++candidate) {
    root = modulus.power(candidate, (q - 1) / order);
    if (modulus.power(root, order / 2) == q - 1) break;
  }
  // The primitive roots are the odd powers of any one of them.
  const uint32_t square = modulus.multiply(root, root);
  uint32_t smallest = root;
  for (uint32_t i = 1; i < order / 2; ++i) {
    root = modulus.multiply(root, square);
    if (root < smallest) smallest = root;
  }
  return smallest;
}

// root^brv(i) for i < N.
std::vector<uint32_t> powers_in_bit_reversed_order(const Modulus& modulus, uint32_t root,
                                                   size_t log_degree) {
  std::vector<uint32_t> powers(size_t{1} << log_degree);
  uint32_t power = 1;
  for (uint32_t i = 0; i < powers.size(); ++i) {
    powers[reverse_bits(i, log_degree)] = power;
    power = modulus.multiply(power, root);
  }
  return powers;
}

std::vector<simd::ShoupFactor> first_stages(const Modulus& modulus,
                                            std::span<const uint32_t> powers) {
  std::vector<simd::ShoupFactor> roots(powers.size() / 16);
  for (size_t i = 1; i < roots.size(); ++i) roots[i] = modulus.shoup(powers[i]);
  return roots;
}

std::vector<uint32_t> last_stages(const Modulus& modulus, std::span<const uint32_t> powers) {
  const size_t rows = powers.size() / 16;
  std::vector<uint32_t> roots(rows / 16 * simd::kLeafWords);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t stage = 0; stage < 4; ++stage) {
      for (size_t group = 0; group < size_t{1} << stage; ++group) {
        const auto root = modulus.shoup(powers[((rows + row) << stage) + group]);
        uint32_t* pair =
            &roots[row / 16 * simd::kLeafWords + 32 * simd::leaf_slot(stage, group) + row % 16];
        pair[0] = root.value;
        pair[16] = root.quotient;
      }
    }
  }
  return roots;
}

}  // namespace

uint32_t evaluation_exponent(size_t log_degree, size_t i) {
  return 2 * reverse_bits(static_cast<uint32_t>(i), log_degree) + 1;
}

size_t evaluation_index(size_t log_degree, uint32_t exponent) {
  BAUTA_ASSERT(exponent % 2 == 1);
  const uint32_t reduced = exponent & ((2u << log_degree) - 1);
  return reverse_bits(reduced >> 1, log_degree);
}

NttTables::NttTables(size_t log_degree, const Modulus& modulus) : modulus_(modulus) {
  psi_ = smallest_primitive_root(modulus, 2u << log_degree);
  const auto powers = powers_in_bit_reversed_order(modulus, psi_, log_degree);
  const auto inverse_powers =
      powers_in_bit_reversed_order(modulus, modulus.inverse(psi_), log_degree);
  roots_ = first_stages(modulus, powers);
  leaf_roots_ = last_stages(modulus, powers);
  inverse_roots_ = first_stages(modulus, inverse_powers);
  inverse_leaf_roots_ = last_stages(modulus, inverse_powers);
  const uint32_t inverse_degree = modulus.inverse(modulus.reduce(uint64_t{1} << log_degree));
  constants_ = {
      .modulus = modulus.constants(),
      .log_degree = static_cast<uint32_t>(log_degree),
      .roots = roots_.data(),
      .leaf_roots = leaf_roots_.data(),
      .inverse_roots = inverse_roots_.data(),
      .inverse_leaf_roots = inverse_leaf_roots_.data(),
      .inverse_degree = modulus.shoup(inverse_degree),
      .inverse_degree_root = modulus.shoup(modulus.multiply(inverse_degree, inverse_powers[1])),
  };
}

Result<const NttTables*> NttTables::get(size_t log_degree, uint64_t modulus_value) {
  if (log_degree < kMinLogDegree || log_degree > kMaxLogDegree)
    return make_error(ErrorCode::invalid_argument,
                      "ring degree 2^{} is not supported; use 2^{} to 2^{}", log_degree,
                      kMinLogDegree, kMaxLogDegree);
  BAUTA_TRY(const Modulus modulus, Modulus::create(modulus_value));
  const uint64_t order = uint64_t{2} << log_degree;
  if (modulus_value % order != 1)
    return make_error(ErrorCode::invalid_argument,
                      "modulus {} is not 1 modulo {}, as a ring of degree {} needs", modulus_value,
                      order, order / 2);

  static std::mutex mutex;
  static auto& tables = *new std::map<std::pair<size_t, uint64_t>, std::unique_ptr<NttTables>>;
  std::lock_guard lock(mutex);
  auto& entry = tables[{log_degree, modulus_value}];
  if (entry == nullptr) entry.reset(new NttTables(log_degree, modulus));
  return entry.get();
}

}  // namespace bauta::ring
