#include "match/bulk_erasure.h"

#include <bit>

namespace bauta::match {
namespace {

constexpr size_t kMaxEntries = (size_t{4} << 20) / sizeof(int64_t);
constexpr int64_t kMaxCoefficient = INT32_MAX;

}  // namespace

size_t BulkErasure::max_references(const Parameters& parameters) {
  return std::min(kDegree, kMaxEntries / parameters.dimension());
}

Result<BulkErasure> BulkErasure::create(const Parameters& parameters,
                                        std::span<const uint32_t> coefficients) {
  BAUTA_ASSERT(!coefficients.empty() && coefficients.size() <= max_references(parameters));
  BulkErasure erasure(parameters);
  erasure.coefficients_.assign(coefficients.begin(), coefficients.end());
  BAUTA_TRY(erasure.entries_,
            SecretArray<int64_t>::create(coefficients.size() * parameters.dimension()));
  return erasure;
}

BulkErasure::Place BulkErasure::place(size_t reference, size_t entry, size_t u) const {
  const size_t exponent =
      (coefficients_[reference] + entry * parameters_.stride() * (2 * u + 1)) % (2 * kDegree);
  return {exponent % kDegree, exponent < kDegree ? 1 : -1};
}

void BulkErasure::read(size_t u, std::span<const int32_t> polynomial) {
  int64_t* sum = entries_.data();
  for (size_t reference = 0; reference < coefficients_.size(); ++reference)
    for (size_t entry = 0; entry < parameters_.dimension(); ++entry) {
      const Place at = place(reference, entry, u);
      *sum++ += at.sign * polynomial[at.coefficient];
    }
}

void BulkErasure::finish() {
  // The sum over all automorphisms is the width times the entry: every other reference that stands
  // at the same coefficients adds a trace of a power of Y, which is 0.
  const auto bits = static_cast<unsigned>(std::countr_zero(parameters_.width()));
  for (int64_t& entry : entries_.span()) entry = (entry + (int64_t{1} << (bits - 1))) >> bits;
}

Status BulkErasure::remove(size_t u, std::span<int32_t> polynomial) const {
  const int64_t* value = entries_.data();
  int64_t largest = 0;
  for (size_t reference = 0; reference < coefficients_.size(); ++reference)
    for (size_t entry = 0; entry < parameters_.dimension(); ++entry) {
      const Place at = place(reference, entry, u);
      const int64_t rest = polynomial[at.coefficient] - at.sign * *value++;
      largest |= rest < 0 ? ~rest : rest;
      polynomial[at.coefficient] = static_cast<int32_t>(rest);
    }
  if (largest <= kMaxCoefficient) return {};
  return make_error(ErrorCode::corrupt, "the references of a block add up to what no faces do");
}

}  // namespace bauta::match
