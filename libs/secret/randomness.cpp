#include "secret/randomness.h"

#include "base/digest.h"

namespace bauta::secret {

Randomness& Randomness::system() {
  static Randomness randomness;
  return randomness;
}

ring::PublicSeed Randomness::public_seed() {
  if (!fixed_) return ring::fresh_public_seed();
  ByteWriter writer;
  writer.raw(as_bytes("insecure public seed"));
  writer.u64(next_++);
  return sha256(writer.bytes());
}

Result<ring::SecretSeed> Randomness::secret_seed() {
  return fixed_ ? ring::SecretSeed::insecure_fixed(next_++) : ring::SecretSeed::fresh();
}

}  // namespace bauta::secret
