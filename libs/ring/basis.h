// A ring Z[X]/(X^N + 1) modulo a product of primes, as the list of those primes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ring/ntt.h"

namespace bauta::ring {

// The degree and an ordered list of distinct moduli. A small value: copies, prefixes and slices
// share the list, so a level of a ciphertext is a prefix and costs nothing. Empty lists are
// allowed.
class Basis {
 public:
  // No degree and no moduli; for members that are assigned later.
  Basis() = default;

  // Errors: those of NttTables::get for any modulus; a modulus given twice.
  static Result<Basis> create(size_t log_degree, std::span<const uint32_t> moduli);

  size_t log_degree() const { return log_degree_; }
  size_t degree() const { return size_t{1} << log_degree_; }
  // Number of moduli.
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Preconditions: i < size(), begin + count <= size().
  const NttTables& ntt(size_t i) const;
  const Modulus& modulus(size_t i) const { return ntt(i).modulus(); }
  const simd::ModulusConstants& constants(size_t i) const { return modulus(i).constants(); }
  std::vector<uint32_t> moduli() const;

  Basis prefix(size_t count) const { return slice(0, count); }
  Basis slice(size_t begin, size_t count) const;
  // This list, then the other. Preconditions: same degree, no modulus in both.
  Basis joined(const Basis& other) const;

  // Same degree, and the first moduli are those of `other`.
  bool starts_with(const Basis& other) const;
  friend bool operator==(const Basis& a, const Basis& b) {
    return a.size() == b.size() && a.starts_with(b);
  }

  // log2 of the product of the moduli.
  double log2_modulus() const;

 private:
  size_t log_degree_ = 0;
  std::shared_ptr<const std::vector<const NttTables*>> tables_;
  size_t begin_ = 0;
  size_t size_ = 0;
};

}  // namespace bauta::ring
