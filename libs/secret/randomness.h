// Where the randomness of encryption and key generation comes from.
#pragma once

#include "ring/sampler.h"

namespace bauta::secret {

class Randomness {
 public:
  // OpenSSL's generator. Thread-safe.
  static Randomness& system();
  // A sequence known to everybody, for tests and test vectors only.
  static Randomness insecure_fixed(uint64_t number) { return Randomness(number); }

  ring::PublicSeed public_seed();
  // Error `unavailable` when memory cannot be locked.
  Result<ring::SecretSeed> secret_seed();

 private:
  Randomness() = default;
  explicit Randomness(uint64_t number) : fixed_(true), next_(number << 32) {}

  bool fixed_ = false;
  uint64_t next_ = 0;
};

}  // namespace bauta::secret
