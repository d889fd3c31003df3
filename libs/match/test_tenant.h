// A tenant with its keys, an edge, and made-up people, for the tests of this folder.
#pragma once

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "match/bulk.h"
#include "match/gallery.h"
#include "match/local_tenant.h"

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

inline SecretBytes insecure_seed(uint64_t number) {
  SecretBytes seed = must(SecretBytes::create(secret::kSeedBytes));
  for (size_t i = 0; i < 8; ++i) seed.data()[i] = static_cast<uint8_t>(number >> (8 * i));
  return seed;
}

// The standing cast: one tenant, its keys in a file, one admitted edge.
class TestTenant : public LocalTenant {
 public:
  explicit TestTenant(size_t dimension, uint64_t number = 1)
      : TestTenant(dimension, number,
                   std::filesystem::temp_directory_path() /
                       fmt::format("bauta-match-test-{}-{}-{}", getpid(), dimension, number)) {}
  ~TestTenant() { std::filesystem::remove(galois_key_file); }
  TestTenant(const TestTenant&) = delete;
  TestTenant& operator=(const TestTenant&) = delete;

  Bytes probe_bytes(const Embedding& embedding) const {
    return serialize_probe(parameters, must(encrypt_probe(embedding)));
  }
  Bytes reference_bytes(const Embedding& embedding) const {
    return serialize_reference(parameters, must(encrypt_reference(embedding)));
  }
  SwitchedProbe probe(const Embedding& embedding) const {
    return must(keys->admit_probe(probe_bytes(embedding)));
  }
  StoredReference reference(const Embedding& embedding) const {
    return must(keys->admit_reference(reference_bytes(embedding)));
  }
  std::vector<uint32_t> decrypt(const ScoreBlock& block) const {
    return must(LocalTenant::decrypt(block.ciphertext));
  }
  ScoreReader read(const ScoreRequest& request) const { return must(LocalTenant::read(request)); }

  std::filesystem::path galois_key_file;

 private:
  TestTenant(size_t dimension, uint64_t number, const std::filesystem::path& file)
      : LocalTenant(must(
            LocalTenant::create(must(Parameters::create(dimension)), insecure_seed(number), file))),
        galois_key_file(file) {}
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
  size_t scores = 0;
};

// What the key service reads in a search, against the inner products in the clear.
inline ScoreErrors score_errors(const TestTenant& tenant, const Search& search,
                                const Embedding& probe,
                                const std::function<const Embedding&(uint64_t slot)>& person) {
  ScoreErrors errors;
  for (uint32_t b = 0; b < search.request.blocks.size(); ++b) {
    const ScoreBlock& block = search.request.blocks[b];
    const std::vector<uint32_t> residues = tenant.decrypt(block);
    for (uint32_t j = 0; j < kDegree; ++j) {
      if (!is_live(block.live, j)) continue;
      const double expected = People::inner_product(probe, person(must(search.map.slot({b, j}))));
      const double error = std::abs(decode_score(tenant.parameters, residues[j]) - expected);
      errors.max = std::max(errors.max, error);
      errors.rms += error * error;
      ++errors.scores;
    }
  }
  errors.rms = std::sqrt(errors.rms / static_cast<double>(errors.scores));
  return errors;
}

// A whole block of up to 4,096 people, encrypted by the edge and switched by the server.
inline TiledCiphertexts make_block(const TestTenant& tenant, const std::vector<Embedding>& people) {
  std::vector<float> rows;
  for (const Embedding& person : people) rows.insert(rows.end(), person.begin(), person.end());
  const BulkBlock bulk = must(BulkBlock::create(tenant.parameters, rows));
  TiledCiphertexts images(tenant.parameters.width());
  for (size_t u = 0; u < images.count(); ++u) {
    const ckks::EvaluationCiphertext image = to_evaluation(must(tenant.keys->switch_to_tenant(
        must(tenant.encrypt(must(bulk.encode(u)), tenant.parameters.reference_scale())))));
    images.put(u, image.c0, image.c1);
  }
  return images;
}

inline std::bitset<kDegree> first_positions(size_t count) {
  std::bitset<kDegree> live;
  for (size_t j = 0; j < count; ++j) live.set(j);
  return live;
}

// For galleries that never need an original.
inline Result<StoredReference> no_original(uint64_t slot) {
  return make_error(ErrorCode::not_found, "no original of slot {}", slot);
}

}  // namespace bauta::match
