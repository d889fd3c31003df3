// The keys of a tenant and of one edge, made on the spot: what every example starts from. In the
// product the key service derives the secrets from a token and each party has only its own.
#pragma once

#include <filesystem>
#include <memory>

#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "match/evaluation_keys.h"
#include "secret/key_generation.h"

namespace bauta::examples {

struct Parties {
  match::Parameters parameters;
  secret::SecretKey tenant;                     // key service
  secret::SecretKey edge;                       // edge
  std::shared_ptr<match::EvaluationKeys> keys;  // authentication server; public
};

inline Result<secret::SecretKey> make_secret(const match::Parameters& parameters,
                                             const char* purpose) {
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
  random_bytes(seed.span());
  return secret::SecretKey::expand(parameters.ring(), seed, purpose);
}

inline Result<Parties> make_parties(size_t dimension) {
  BAUTA_TRY(match::Parameters parameters, match::Parameters::create(dimension));
  const ckks::Parameters& ring = parameters.ring();
  const ckks::KeySwitchShape shape = match::key_shape(parameters);
  BAUTA_TRY(secret::SecretKey tenant, make_secret(parameters, "tenant"));
  BAUTA_TRY(secret::SecretKey edge, make_secret(parameters, "edge"));

  Bytes galois_keys;
  for (const uint32_t element : match::galois_elements(parameters)) {
    BAUTA_TRY(const ckks::GaloisKey key, secret::generate_galois_key(tenant, element, shape));
    const Bytes serialized = ckks::serialize(ring, key);
    galois_keys.insert(galois_keys.end(), serialized.begin(), serialized.end());
  }
  const std::filesystem::path galois_file =
      std::filesystem::temp_directory_path() / fmt::format("bauta-example-{}.galois", getpid());
  BAUTA_CHECK(write_file_atomically(galois_file, galois_keys));
  BAUTA_TRY(const ckks::RelinearizationKey relinearization,
            secret::generate_relinearization_key(tenant, shape));
  BAUTA_TRY(const ckks::SwitchingKey switching,
            secret::generate_switching_key(edge, tenant, shape));
  BAUTA_TRY(auto keys, match::EvaluationKeys::open(parameters, galois_file,
                                                   ckks::serialize(ring, relinearization)));
  BAUTA_CHECK(keys->add_edge(ckks::serialize(ring, switching)));
  // Read now, so that the file can go.
  BAUTA_CHECK(keys->galois_keys(parameters.width()));
  std::filesystem::remove(galois_file);
  return Parties{parameters, std::move(tenant), std::move(edge), std::move(keys)};
}

}  // namespace bauta::examples
