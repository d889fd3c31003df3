// Checked parameters of an RNS-CKKS ring.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "ring/basis.h"

namespace bauta::ckks {

// What somebody asks for, unchecked.
struct ParametersLiteral {
  // Ring degree N, a power of two in 2048..65536 (1024 also for insecure_ parameters).
  size_t degree = 0;
  // q0, q1, ...: a ciphertext of l limbs lives modulo the product of the first l.
  std::vector<uint32_t> primes;
  // P, the primes that key switching divides by again.
  std::vector<uint32_t> special_primes;
};

// The largest log2(QP) for 128-bit classical security with a uniform ternary secret and errors of
// sigma 3.2: "Security Guidelines for Implementing Homomorphic Encryption" (IACR Communications in
// Cryptology 1(4), 2025), table 5.2. 0 for a degree that the table does not have.
double max_log2_qp(size_t degree);

// A set that has passed every check; there is no other way to have one. All keys and ciphertexts
// under one secret, of whatever level, use moduli out of this set, so that QP bounds them all.
//
// Immutable; copies share one state.
class Parameters {
 public:
  // Errors invalid_argument: a degree that is no power of two or not in the table, no primes, a
  // modulus that is not a prime below 2^30 congruent to 1 modulo 2N, the same prime twice, too many
  // primes, log2(QP) beyond max_log2_qp.
  static Result<Parameters> create(const ParametersLiteral& literal);
  // For tests: the same without the security table. Services refuse such a set.
  static Result<Parameters> insecure_create(const ParametersLiteral& literal);

  // A file holds a literal; reading checks it as create() does. Insecure sets do not parse.
  Bytes serialize() const;
  static Result<Parameters> parse(ByteView bytes);

  size_t degree() const { return state_->literal.degree; }
  const std::vector<uint32_t>& primes() const { return state_->literal.primes; }
  const std::vector<uint32_t>& special_primes() const { return state_->literal.special_primes; }
  // Q and then P, Q alone, P alone.
  const ring::Basis& all_moduli() const { return state_->all_moduli; }
  ring::Basis ciphertext_moduli() const { return all_moduli().prefix(primes().size()); }
  ring::Basis special_moduli() const {
    return all_moduli().slice(primes().size(), special_primes().size());
  }
  double log2_qp() const { return all_moduli().log2_modulus(); }
  bool insecure() const { return state_->insecure; }
  // SHA-256 over degree, primes, special primes and whether they are insecure; every serialised
  // object carries it.
  const Digest& digest() const { return state_->digest; }

  friend bool operator==(const Parameters& a, const Parameters& b) {
    return a.digest() == b.digest();
  }

 private:
  struct State {
    ParametersLiteral literal;
    bool insecure = false;
    ring::Basis all_moduli;
    Digest digest{};
  };
  explicit Parameters(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  static Result<Parameters> build(const ParametersLiteral& literal, bool insecure);

  std::shared_ptr<const State> state_;
};

}  // namespace bauta::ckks
