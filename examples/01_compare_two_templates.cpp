// 01: two templates are compared and neither is ever decrypted.
//
// Three parties in one program: the key service (holds the tenant's secret), the edge (holds its
// own secret and sees the face), the authentication server (holds public keys and ciphertexts).
// Follow which variable belongs to whom.

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <vector>

#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "match/gallery.h"
#include "match/scores.h"
#include "match/template_codec.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

using namespace bauta;

namespace {

// A unit vector; in real life a feature extractor makes it from a face.
std::vector<float> make_template(double angle) {
  std::vector<float> embedding(64);
  embedding[0] = static_cast<float>(std::cos(angle));
  embedding[1] = static_cast<float>(std::sin(angle));
  return embedding;
}

Result<secret::SecretKey> make_secret(const match::Parameters& parameters, const char* purpose) {
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
  random_bytes(seed.span());
  return secret::SecretKey::expand(parameters.ring(), seed, purpose);
}

Status compare() {
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(64));
  const ckks::KeySwitchShape shape = match::key_shape(parameters);
  const size_t limbs = parameters.ring().primes().size();

  // Key service: secrets, and the public keys that follow from them.
  BAUTA_TRY(const secret::SecretKey tenant, make_secret(parameters, "tenant"));
  BAUTA_TRY(const secret::SecretKey edge, make_secret(parameters, "edge"));
  BAUTA_TRY(const ckks::RelinearizationKey relinearization,
            secret::generate_relinearization_key(tenant, shape));
  BAUTA_TRY(const ckks::SwitchingKey switching,
            secret::generate_switching_key(edge, tenant, shape));

  Bytes galois_keys;
  for (const uint32_t element : match::galois_elements(parameters)) {
    BAUTA_TRY(const ckks::GaloisKey key, secret::generate_galois_key(tenant, element, shape));
    const Bytes serialized = ckks::serialize(parameters.ring(), key);
    galois_keys.insert(galois_keys.end(), serialized.begin(), serialized.end());
  }

  // Authentication server: opens the public keys and admits the edge.
  const std::filesystem::path galois_file =
      std::filesystem::temp_directory_path() / fmt::format("bauta-example-01-{}.galois", getpid());
  BAUTA_CHECK(write_file_atomically(galois_file, galois_keys));
  BAUTA_TRY(const auto keys,
            match::EvaluationKeys::open(parameters, galois_file,
                                        ckks::serialize(parameters.ring(), relinearization)));
  BAUTA_CHECK(keys->add_edge(ckks::serialize(parameters.ring(), switching)));

  // Edge: enrols one face and asks for another, 30 degrees apart. Both leave it encrypted.
  BAUTA_TRY(const match::TemplatePolynomial enrolled,
            match::encode_reference(parameters, make_template(0)));
  BAUTA_TRY(const ckks::SeededCiphertext reference,
            secret::encrypt(edge, enrolled.span(), limbs, parameters.reference_scale()));
  BAUTA_TRY(const match::TemplatePolynomial asked,
            match::encode_probe(parameters, make_template(std::acos(-1.0) / 6)));
  BAUTA_TRY(const ckks::SeededCiphertext probe,
            secret::encrypt(edge, asked.span(), limbs, parameters.probe_scale()));
  const Bytes sent_reference = match::serialize_reference(parameters, reference);
  const Bytes sent_probe = match::serialize_probe(parameters, probe);

  // Authentication server: compares ciphertexts, and masks everything but the one score.
  BAUTA_TRY(const match::StoredReference stored, keys->admit_reference(sent_reference));
  BAUTA_TRY(const match::SwitchedProbe switched, keys->admit_probe(sent_probe));
  BAUTA_TRY(const match::Search search, match::compare_one(*keys, switched, 0, stored));

  // Key service: decrypts the score and would tell nothing but accepted or rejected.
  const match::ScoreBlock& block = search.request.blocks.front();
  BAUTA_TRY(const ring::SecretCoefficients residues, secret::decrypt(tenant, block.ciphertext));
  match::ScoreReader reader(parameters);
  reader.read(0, residues.limb(0), block.live);
  std::printf("a probe of %zu bytes against a reference of %zu bytes\n", sent_probe.size(),
              sent_reference.size());
  std::printf("score under encryption %.5f, in the clear %.5f\n", reader.best()->score,
              std::cos(std::acos(-1.0) / 6));
  std::filesystem::remove(galois_file);
  return {};
}

}  // namespace

int main() {
  const Status status = compare();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status.ok() ? 0 : 1;
}
