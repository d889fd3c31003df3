// A tenant with its keys, an edge, and made-up people, for the tests of this folder.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

#include "match/gallery.h"
#include "match/scores.h"
#include "match/template_codec.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::match {

using Embedding = std::vector<float>;

// A value that must be there.
template <typename T>
T must(Result<T> result) {
  if (!result.ok()) fmt::print(stderr, "{}\n", result.error().message);
  BAUTA_ASSERT(result.ok());
  return std::move(result).value();
}
inline void must(const Status& status) {
  if (!status.ok()) fmt::print(stderr, "{}\n", status.error().message);
  BAUTA_ASSERT(status.ok());
}

inline secret::SecretKey insecure_key(const ckks::Parameters& parameters, uint64_t number,
                                      std::string_view purpose) {
  SecretBytes seed = must(SecretBytes::create(secret::kSeedBytes));
  for (size_t i = 0; i < 8; ++i) seed.data()[i] = static_cast<uint8_t>(number >> (8 * i));
  return must(secret::SecretKey::expand(parameters, seed, purpose));
}

// The standing cast: one tenant, its keys in a file, one admitted edge.
class TestTenant {
 public:
  explicit TestTenant(size_t dimension, uint64_t number = 1)
      : parameters(must(Parameters::create(dimension))),
        tenant(insecure_key(parameters.ring(), number, "tenant")),
        edge(insecure_key(parameters.ring(), number, "edge 1")),
        galois_key_file(std::filesystem::temp_directory_path() /
                        fmt::format("bauta-match-test-{}-{}-{}", getpid(), dimension, number)) {
    const ckks::KeySwitchShape shape = key_shape(parameters);
    const ckks::Parameters& ring = parameters.ring();
    std::ofstream file(galois_key_file, std::ios::binary);
    for (const uint32_t element : galois_elements(parameters)) {
      const Bytes bytes =
          ckks::serialize(ring, must(secret::generate_galois_key(tenant, element, shape)));
      file.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
    }
    file.close();
    relinearization_key =
        ckks::serialize(ring, must(secret::generate_relinearization_key(tenant, shape)));
    edge_switching_key =
        ckks::serialize(ring, must(secret::generate_switching_key(edge, tenant, shape)));
    keys = must(EvaluationKeys::open(parameters, galois_key_file, relinearization_key));
    must(keys->add_edge(edge_switching_key));
  }
  ~TestTenant() { std::filesystem::remove(galois_key_file); }
  TestTenant(const TestTenant&) = delete;
  TestTenant& operator=(const TestTenant&) = delete;

  Bytes probe_bytes(const Embedding& embedding) const {
    const TemplatePolynomial message = must(encode_probe(parameters, embedding));
    return serialize_probe(
        parameters, must(secret::encrypt(edge, message.span(), 2, parameters.probe_scale())));
  }
  Bytes reference_bytes(const Embedding& embedding) const {
    const TemplatePolynomial message = must(encode_reference(parameters, embedding));
    return serialize_reference(
        parameters, must(secret::encrypt(edge, message.span(), 2, parameters.reference_scale())));
  }
  SwitchedProbe probe(const Embedding& embedding) const {
    return must(keys->admit_probe(probe_bytes(embedding)));
  }
  StoredReference reference(const Embedding& embedding) const {
    return must(keys->admit_reference(reference_bytes(embedding)));
  }

  // What the key service does with a block.
  std::vector<uint32_t> decrypt(const ScoreBlock& block) const {
    const ring::SecretCoefficients residues = must(secret::decrypt(tenant, block.ciphertext));
    return {residues.limb(0).begin(), residues.limb(0).end()};
  }
  ScoreReader read(const ScoreRequest& request) const {
    ScoreReader reader(parameters);
    for (uint32_t b = 0; b < request.blocks.size(); ++b)
      reader.read(b, decrypt(request.blocks[b]), request.blocks[b].live);
    return reader;
  }

  Parameters parameters;
  secret::SecretKey tenant, edge;
  std::filesystem::path galois_key_file;
  Bytes relinearization_key, edge_switching_key;
  std::shared_ptr<EvaluationKeys> keys;
};

// Unit vectors in a fixed random order.
class People {
 public:
  explicit People(size_t dimension, uint64_t number = 1) : dimension_(dimension), random_(number) {}

  Embedding next() {
    Embedding embedding(dimension_);
    for (float& entry : embedding) entry = normal_(random_);
    return normalised(embedding);
  }
  // Somebody whose cosine similarity to `other` is this.
  Embedding next_near(const Embedding& other, float similarity) {
    Embedding embedding = next();
    const float overlap = inner_product(embedding, other);
    for (size_t i = 0; i < dimension_; ++i) embedding[i] -= overlap * other[i];
    embedding = normalised(embedding);
    for (size_t i = 0; i < dimension_; ++i)
      embedding[i] = similarity * other[i] + std::sqrt(1 - similarity * similarity) * embedding[i];
    return normalised(embedding);
  }
  static float inner_product(const Embedding& a, const Embedding& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
    return static_cast<float>(sum);
  }

 private:
  static Embedding normalised(Embedding embedding) {
    const float norm = std::sqrt(inner_product(embedding, embedding));
    for (float& entry : embedding) entry /= norm;
    return embedding;
  }
  size_t dimension_;
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
};

struct ScoreErrors {
  double rms = 0, max = 0;
};

}  // namespace bauta::match
