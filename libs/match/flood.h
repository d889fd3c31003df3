// Noise that drowns the error of a decrypted score, before anything is decided by it.
//
// That error is a linear form of the secret key which everybody who holds the ciphertexts can
// compute (its deviation is 2.4e-7), so a decision next to a threshold tells something about the
// key: flooding against IND-CPA-D (Li, Micciancio, "On the Security of Homomorphic Encryption on
// Approximate Numbers", Eurocrypt 2021). Key-service side.
#pragma once

#include <memory>
#include <span>

#include "base/digest.h"
#include "base/secret.h"
#include "match/parameters.h"

namespace bauta::match {

// In units of a score, where 1 is the product of equal unit vectors.
inline constexpr double kFloodDeviation = 3e-3;
// No draw is further from zero than this many deviations.
inline constexpr double kFloodBound_deviations = 4.9;

// Draws for every coefficient of every block of one request: a pseudorandom function of
// (seed, ticket, block, coefficient), so that one ticket never has two draws, whatever is asked
// again. Copies share the key, which lies in locked memory. Safe to draw from on many threads.
//
// A draw is the sum of eight independent uniform bytes and a fraction below their unit, brought to
// mean 0 and the deviation: nearly normal (excess kurtosis -0.15), on a lattice of 5e-9 deviations.
// Its density is a staircase with steps 0.005 deviations wide, 60 times the error that it drowns,
// and there is no jump in what a comparison with a threshold shows, the distribution function.
class Flood {
 public:
  // Draws zeros.
  static Flood none() { return {}; }
  // Seed: secret, uniform, at least 32 bytes. Error unavailable when memory cannot be locked.
  // Precondition: the deviation is finite and above 0.
  static Result<Flood> create(const SecretBytes& seed, const Digest& ticket,
                              double deviation = kFloodDeviation);

  double deviation() const { return deviation_; }  // 0 for none

  // The kDegree draws of a block. In time that depends on nothing: 8 microseconds, of which
  // AES-256-CTR takes most.
  void draw(uint32_t block, std::span<double, kDegree> draws) const;

 private:
  Flood() = default;

  std::shared_ptr<const SecretBytes> key_;  // none without
  double deviation_ = 0;
};

}  // namespace bauta::match
