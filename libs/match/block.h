// One block of references, summed first (docs/formats/gallery.md).
//
// With width r, folding m and g_u = 1 + 2(r/m)u for u < m, the reference ciphertexts c_j at the
// coefficients j < N*m/r make
//     U_u = sum over j of X^(j / g_u) * c_j       (exponents modulo 2N; exact, so that it can be
//     undone) K_u = KeySwitch(sigma_{g_u}(U_u)),          which encrypts sum X^j *
//     sigma_{g_u}(k_j).
// With Q_u = sigma_{g_u}(probe), coefficient j of sum over u of Q_u * K_u is m * <probe, reference
// j>.
#pragma once

#include <bitset>
#include <vector>

#include "match/evaluation_keys.h"
#include "match/scan.h"
#include "match/score_request.h"

namespace bauta::match {

inline constexpr size_t kMinFolding = 4;

// The smallest folding whose blocks have this coefficient.
size_t folding_for(const Parameters& parameters, size_t coefficient);

class Block {
 public:
  // Empty and open. Precondition: folding is a power of two from 1 to the width.
  Block(const Parameters& parameters, size_t folding);
  // Sealed, from its K_u. Without sums it was made whole (match/bulk.h) and has no originals; else
  // the sums are its U_u as sums() wrote them. Precondition: these stand for exactly the live
  // references.
  Block(const Parameters& parameters, TiledCiphertexts images, const std::bitset<kDegree>& live,
        SharedWords sums = {});

  size_t folding() const { return folding_; }
  // Coefficients below this can be used.
  size_t capacity() const { return kDegree * folding_ / parameters_.width(); }
  bool contains(size_t coefficient) const { return live_[coefficient]; }
  size_t references() const { return live_.count(); }
  LivePositions live_positions() const;
  const std::bitset<kDegree>& live() const { return live_; }
  bool made_whole() const { return made_whole_; }

  // Takes a reference out of the scores alone; its part of the sums stays. Precondition: contains.
  void retire(size_t coefficient);
  // Whether the sums hold something there that is out of the scores.
  bool retired(size_t coefficient) const { return retired_[coefficient]; }

  // An open block keeps the U_u and can change; a sealed one has only the K_u, half the memory.
  bool open() const { return !sums_.empty(); }
  // Precondition: prepared.
  void seal();
  // Opens a sealed block whose sums were given at its construction. False: there are none.
  bool reopen();
  // The U_u: m times c0, c1, each its limbs of N residues. Precondition: open.
  std::vector<std::span<const uint32_t>> sums() const;

  // Preconditions: open; coefficient < capacity(), free and not retired for add, taken or retired
  // for subtract; the reference that is subtracted is the one that was added. Two limbs, tenant
  // key.
  void add(size_t coefficient, const ckks::CoefficientCiphertext& reference);
  void subtract(size_t coefficient, const ckks::CoefficientCiphertext& reference);
  // Adds many, sum by sum, which is kinder to the caches and is shared among threads.
  struct Placed {
    size_t coefficient;
    const ckks::CoefficientCiphertext* reference;
  };
  void add(std::span<const Placed> references, ThreadPool* pool);

  // Makes the K_u if the sums have changed since: folding() key switches. Errors: those of
  // EvaluationKeys::galois_keys.
  Status prepare(const EvaluationKeys& keys, ThreadPool* pool = nullptr);

  // The K_u. Precondition: prepared.
  const TiledCiphertexts& images() const;
  // Without what is shared.
  size_t memory_bytes() const;

  // Bit for bit.
  friend bool operator==(const Block& a, const Block& b);

 private:
  void add_to_sum(size_t u, size_t exponent, const ckks::CoefficientCiphertext& reference);

  struct Sum {
    ring::CoefficientPolynomial c0, c1;  // U_u
  };

  Parameters parameters_;
  size_t folding_;
  bool made_whole_ = false;
  std::bitset<kDegree> live_, retired_;
  std::vector<Sum> sums_;    // empty when sealed
  SharedWords stored_sums_;  // of a block that was sealed from the start
  TiledCiphertexts images_;
  bool prepared_ = false;
};

}  // namespace bauta::match
