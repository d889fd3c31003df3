// A tenant with its keys and one admitted edge, all in one process: what examples, tests and
// benchmarks start from. In the product the key service derives the secrets from a token, and each
// party has only its own.
//
// Header only: the library itself must not link what encrypts and decrypts.
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>

#include <unistd.h>

#include "base/random.h"
#include "match/admission.h"
#include "match/evaluation_keys.h"
#include "match/scores.h"
#include "match/template_codec.h"
#include "match/tiles.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::match {

// The Galois keys of a tenant, as EvaluationKeys::open reads them.
inline Status write_galois_keys(const Parameters& parameters, const secret::SecretKey& tenant,
                                const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary);
  for (const uint32_t element : galois_elements(parameters)) {
    BAUTA_TRY(const ckks::GaloisKey key,
              secret::generate_galois_key(tenant, element, key_shape(parameters)));
    const Bytes bytes = ckks::serialize(parameters.ring(), key);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
  if (!file.flush())
    return make_error(ErrorCode::no_space, "the Galois keys cannot be written to {}",
                      path.string());
  return {};
}

struct LocalTenant {
  Parameters parameters;
  secret::SecretKey tenant;  // key service
  secret::SecretKey edge;    // edge
  // Authentication server; public.
  Bytes relinearization_key, edge_switching_key;
  std::shared_ptr<EvaluationKeys> keys;

  // Fresh secrets; all keys in memory.
  static Result<LocalTenant> create(size_t dimension) {
    BAUTA_TRY(Parameters parameters, Parameters::create(dimension));
    BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
    random_bytes(seed.span());
    const std::filesystem::path file =
        std::filesystem::temp_directory_path() / fmt::format("bauta-local-{}.galois", getpid());
    Result<LocalTenant> made = create(parameters, seed, file);
    Status loaded;
    if (made.ok()) {
      const auto all = made->keys->galois_keys(parameters.width());
      if (!all.ok()) loaded = all.error();
    }
    std::error_code ignored;
    std::filesystem::remove(file, ignored);
    BAUTA_CHECK(loaded);
    return made;
  }

  // The secrets that follow from a seed; the Galois keys stay in their file, which the caller
  // removes.
  static Result<LocalTenant> create(const Parameters& parameters, const SecretBytes& seed,
                                    const std::filesystem::path& galois_key_file) {
    const ckks::Parameters& ring = parameters.ring();
    const ckks::KeySwitchShape shape = key_shape(parameters);
    BAUTA_TRY(secret::SecretKey tenant, secret::SecretKey::expand(ring, seed, "tenant"));
    BAUTA_TRY(secret::SecretKey edge, secret::SecretKey::expand(ring, seed, "edge 1"));
    BAUTA_CHECK(write_galois_keys(parameters, tenant, galois_key_file));
    BAUTA_TRY(const ckks::RelinearizationKey relinearization,
              secret::generate_relinearization_key(tenant, shape));
    BAUTA_TRY(const ckks::SwitchingKey switching,
              secret::generate_switching_key(edge, tenant, shape));
    LocalTenant made{parameters,
                     std::move(tenant),
                     std::move(edge),
                     ckks::serialize(ring, relinearization),
                     ckks::serialize(ring, switching),
                     nullptr};
    BAUTA_TRY(made.keys,
              EvaluationKeys::open(parameters, galois_key_file, made.relinearization_key));
    BAUTA_CHECK(made.keys->add_edge(made.edge_switching_key));
    return made;
  }

  // Edge: what leaves it.
  Result<ckks::SeededCiphertext> encrypt(const TemplatePolynomial& message, double scale) const {
    return secret::encrypt(edge, message.span(), kLimbs, scale);
  }
  Result<ckks::SeededCiphertext> encrypt_probe(std::span<const float> embedding) const {
    BAUTA_TRY(const TemplatePolynomial message, encode_probe(parameters, embedding));
    return encrypt(message, parameters.probe_scale());
  }
  Result<ckks::SeededCiphertext> encrypt_reference(std::span<const float> embedding) const {
    BAUTA_TRY(const TemplatePolynomial message, encode_reference(parameters, embedding));
    return encrypt(message, parameters.reference_scale());
  }

  // Key service: what it does with a request.
  Result<std::vector<uint32_t>> decrypt(const ckks::CoefficientCiphertext& scores) const {
    BAUTA_TRY(const ring::SecretCoefficients residues, secret::decrypt(tenant, scores));
    return std::vector<uint32_t>(residues.limb(0).begin(), residues.limb(0).end());
  }
  Result<double> check(const Admission& admission, double tolerance = kSquaredNormTolerance) const {
    BAUTA_TRY(const ring::SecretCoefficients stray, secret::decrypt(tenant, admission.stray));
    BAUTA_TRY(const ring::SecretCoefficients squared_norm,
              secret::decrypt(tenant, admission.squared_norm));
    BAUTA_TRY(const auto projections, decrypt_projections(admission));
    return check_admission(
        parameters, admission.kind,
        {{stray.limb(0), stray.limb(1)}, limbs_of(projections), squared_norm.limb(0)}, tolerance);
  }
  Result<std::vector<ring::SecretCoefficients>> decrypt_projections(
      const Admission& admission) const {
    std::vector<ring::SecretCoefficients> all;
    for (const ckks::CoefficientCiphertext& projections : admission.projections) {
      BAUTA_TRY(ring::SecretCoefficients residues, secret::decrypt(tenant, projections));
      all.push_back(std::move(residues));
    }
    return all;
  }
  static std::vector<ring::ConstLimb> limbs_of(const std::vector<ring::SecretCoefficients>& all) {
    std::vector<ring::ConstLimb> limbs;
    for (const ring::SecretCoefficients& residues : all) limbs.push_back(residues.limb(0));
    return limbs;
  }
  Result<ScoreReader> read(const ScoreRequest& request) const {
    ScoreReader reader(parameters);
    for (uint32_t b = 0; b < request.blocks.size(); ++b) {
      BAUTA_TRY(const std::vector<uint32_t> residues, decrypt(request.blocks[b].ciphertext));
      reader.read(b, residues, request.blocks[b].live);
    }
    return reader;
  }
};

}  // namespace bauta::match
