// The number-theoretic transform modulo one prime: coefficient form to evaluation form and back.
//
// Order of the values, the same for every instruction set (docs/formats/ntt.md): value i of a
// polynomial p of degree below N = 2^log_degree is p(psi^e) with e =
// evaluation_exponent(log_degree, i) = 2 * brv(i) + 1, where brv reverses the log_degree bits of i
// and psi is the smallest primitive 2N-th root of unity modulo q. A block of sixteen values has
// exponents that are equal modulo N/8, so an automorphism X -> X^g moves whole blocks and permutes
// inside them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ring/modulus.h"

namespace bauta::ring {

inline constexpr size_t kMinLogDegree = 10;
inline constexpr size_t kMaxLogDegree = 16;

// The residues of one polynomial modulo one prime: N words.
using Limb = std::span<uint32_t>;
using ConstLimb = std::span<const uint32_t>;

// The odd exponent below 2N of the root at which value i is taken.
uint32_t evaluation_exponent(size_t log_degree, size_t i);
// Its inverse: where the value at psi^exponent stands; the exponent is odd and taken modulo 2N.
size_t evaluation_index(size_t log_degree, uint32_t exponent);

// Roots of one (N, q), about 16 N bytes. Made once per process by `get` and kept until it ends.
class NttTables {
 public:
  // Thread-safe. Errors: log_degree outside 10..16; q not an odd prime below 2^30; q != 1 modulo
  // 2N.
  static Result<const NttTables*> get(size_t log_degree, uint64_t modulus);

  NttTables(const NttTables&) = delete;
  NttTables& operator=(const NttTables&) = delete;

  size_t degree() const { return size_t{1} << constants_.log_degree; }
  size_t log_degree() const { return constants_.log_degree; }
  const Modulus& modulus() const { return modulus_; }
  uint32_t psi() const { return psi_; }
  // For simd::kernels(); the pointers live as long as the process.
  const simd::NttConstants& constants() const { return constants_; }

  // In place. Constant time. Inputs below 4q, outputs reduced.
  void forward(Limb limb) const {
    BAUTA_ASSERT(limb.size() == degree());
    simd::kernels().ntt_forward(limb.data(), constants_);
  }
  // In place. Constant time. Inputs below 2q, outputs reduced.
  void inverse(Limb limb) const {
    BAUTA_ASSERT(limb.size() == degree());
    simd::kernels().ntt_inverse(limb.data(), constants_);
  }

 private:
  NttTables(size_t log_degree, const Modulus& modulus);

  Modulus modulus_;
  uint32_t psi_ = 0;
  std::vector<simd::ShoupFactor> roots_, inverse_roots_;
  std::vector<uint32_t> leaf_roots_, inverse_leaf_roots_;
  simd::NttConstants constants_;
};

}  // namespace bauta::ring
