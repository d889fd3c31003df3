#include "secret/secret_key.h"

#include "ring/sampler.h"

namespace bauta::secret {
namespace {

// Indices of the expansions of a key's seed under its purpose. Persistent: they fix every key.
constexpr uint64_t kCoefficientsIndex = 0;
constexpr uint64_t kKeyIdIndex = 1;

}  // namespace

Result<SecretKey> SecretKey::expand(const ckks::Parameters& parameters, const SecretBytes& seed,
                                    std::string_view purpose) {
  if (seed.size() != kSeedBytes)
    return make_error(ErrorCode::invalid_argument, "a key seed has {} bytes, this one {}",
                      kSeedBytes, seed.size());
  if (purpose.empty() || purpose.size() > ring::kMaxPurposeBytes)
    return make_error(ErrorCode::invalid_argument, "a key's purpose has 1 to {} bytes, this one {}",
                      ring::kMaxPurposeBytes, purpose.size());
  const std::span<const uint8_t, kSeedBytes> bytes(seed.data(), kSeedBytes);
  BAUTA_TRY(const ring::SecretSeed ring_seed, ring::SecretSeed::derived(bytes));
  BAUTA_TRY(ring::SmallSecret coefficients,
            ring::sample_ternary(ring_seed, purpose, kCoefficientsIndex, parameters.degree()));
  ckks::KeyId id;
  ring::Keystream(ring_seed.bytes(), purpose, kKeyIdIndex).read(id.bytes);
  return SecretKey(parameters, id, std::move(coefficients));
}

}  // namespace bauta::secret
