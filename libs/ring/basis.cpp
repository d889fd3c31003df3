#include "ring/basis.h"

#include <algorithm>
#include <cmath>

namespace bauta::ring {

Result<Basis> Basis::create(size_t log_degree, std::span<const uint32_t> moduli) {
  auto tables = std::make_shared<std::vector<const NttTables*>>();
  for (uint32_t modulus : moduli) {
    BAUTA_TRY(const NttTables* table, NttTables::get(log_degree, modulus));
    if (std::find(tables->begin(), tables->end(), table) != tables->end())
      return make_error(ErrorCode::invalid_argument, "modulus {} is given twice", modulus);
    tables->push_back(table);
  }
  if (log_degree < kMinLogDegree || log_degree > kMaxLogDegree)
    return make_error(ErrorCode::invalid_argument,
                      "ring degree 2^{} is not supported; use 2^{} to 2^{}", log_degree,
                      kMinLogDegree, kMaxLogDegree);
  Basis basis;
  basis.log_degree_ = log_degree;
  basis.size_ = tables->size();
  basis.tables_ = std::move(tables);
  return basis;
}

const NttTables& Basis::ntt(size_t i) const {
  BAUTA_ASSERT(i < size_);
  return *(*tables_)[begin_ + i];
}

std::vector<uint32_t> Basis::moduli() const {
  std::vector<uint32_t> values(size_);
  for (size_t i = 0; i < size_; ++i) values[i] = modulus(i).value();
  return values;
}

Basis Basis::slice(size_t begin, size_t count) const {
  BAUTA_ASSERT(begin <= size_ && count <= size_ - begin);
  Basis part = *this;
  part.begin_ += begin;
  part.size_ = count;
  return part;
}

Basis Basis::joined(const Basis& other) const {
  BAUTA_ASSERT(log_degree_ == other.log_degree_);
  auto tables = std::make_shared<std::vector<const NttTables*>>();
  for (size_t i = 0; i < size_; ++i) tables->push_back(&ntt(i));
  for (size_t i = 0; i < other.size_; ++i) {
    BAUTA_ASSERT(std::find(tables->begin(), tables->end(), &other.ntt(i)) == tables->end());
    tables->push_back(&other.ntt(i));
  }
  Basis both = *this;
  both.begin_ = 0;
  both.size_ = tables->size();
  both.tables_ = std::move(tables);
  return both;
}

bool Basis::starts_with(const Basis& other) const {
  if (log_degree_ != other.log_degree_ || size_ < other.size_) return false;
  if (tables_ == other.tables_ && begin_ == other.begin_) return true;
  for (size_t i = 0; i < other.size_; ++i)
    if (&ntt(i) != &other.ntt(i)) return false;
  return true;
}

double Basis::log2_modulus() const {
  double sum = 0;
  for (size_t i = 0; i < size_; ++i) sum += std::log2(modulus(i).value());
  return sum;
}

}  // namespace bauta::ring
