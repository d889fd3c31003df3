// The three parties in one process over a directory, with a real SoftHSM token and random unit
// vectors for faces: the fixture of the system tests.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "keys/embedded_token.h"
#include "services/auth/auth_server.h"
#include "services/edge/edge.h"
#include "services/key/key_server.h"

namespace bauta {

inline constexpr uint32_t kTestDimension = 64;

// An engine that has a contract and reads no image: its embeddings come from the test.
class FakeEngine final : public face::Engine {
 public:
  explicit FakeEngine(const std::string& name = "fake") {
    contract_.engine = name;
    contract_.dimension = kTestDimension;
    contract_.metric = "cosine";
    contract_.normalisation = "unit";
    contract_.threshold_verify = 0.5;
    contract_.threshold_identify = 0.6;
  }
  const face::EmbeddingContract& contract() const override { return contract_; }
  Result<face::Embedding> extract(const face::AlignedFace&) const override {
    return make_error(ErrorCode::refused, "the fake engine reads no image");
  }

 private:
  face::EmbeddingContract contract_;
};

class NoDetector final : public face::Detector {
 public:
  std::string_view name() const override { return "none"; }
  Result<std::vector<face::DetectedFace>> detect(const face::Image&) const override {
    return std::vector<face::DetectedFace>();
  }
};

// A face of person `person`: two faces of one person score about 0.9, of two people about 0.
inline face::Embedding make_embedding(unsigned person, unsigned photo = 0) {
  std::mt19937 identity(person + 1), variation(1000003 * (person + 1) + photo);
  std::normal_distribution<float> normal;
  face::Embedding embedding(kTestDimension);
  double norm = 0;
  for (float& value : embedding) {
    value = normal(identity) + 0.33f * normal(variation);
    norm += static_cast<double>(value) * value;
  }
  for (float& value : embedding) value = static_cast<float>(value / std::sqrt(norm));
  return embedding;
}

inline std::string subject_name(unsigned person) {
  return fmt::format("subject-{}", person);
}

// Opens the parties on `directory`; what they keep there outlives the object, as it outlives a
// process.
class Parties {
 public:
  explicit Parties(const std::filesystem::path& directory)
      : Parties(directory, keys::embedded_token_config(directory / "token")) {}
  // With another module over the same token.
  Parties(const std::filesystem::path& directory, const keys::TokenConfig& config)
      : directory_(directory) {
    token_status = keys::create_embedded_token(directory / "token");
    if (!token_status.ok()) return;
    auto token = keys::Token::open(config);
    EXPECT_TRUE(token.ok()) << token.error().message;
    auto store = keys::KeyStore::open(std::move(*token), directory / "key");
    EXPECT_TRUE(store.ok()) << store.error().message;
    auto key_server = key::KeyServer::open(std::move(*store), directory / "key");
    EXPECT_TRUE(key_server.ok()) << key_server.error().message;
    key = std::move(*key_server);
    auto server = auth::AuthServer::open(directory / "auth", *key);
    EXPECT_TRUE(server.ok()) << server.error().message;
    auth = std::move(*server);
  }

  // The id of the tenant's active key; makes one at first.
  std::string tenant_key(const std::string& tenant = "tenant") {
    if (auto active = key->store().active(tenant); active.ok()) return to_hex(active->id);
    return rotate(tenant);
  }

  void create_gallery(const std::string& gallery, const std::string& tenant = "tenant") {
    const auto created = make_edge("edge-1", tenant)->create_gallery(gallery);
    ASSERT_TRUE(created.ok()) << created.error().message;
  }

  std::unique_ptr<edge::Edge> make_edge(const std::string& edge_id = "edge-1",
                                        const std::string& tenant = "tenant",
                                        const std::string& engine = "fake", bool admit = true,
                                        AuthService* server = nullptr) {
    return make_edge_for(tenant_key(tenant), edge_id, engine, admit, server);
  }

  // An edge for the key that the gallery is under, which need not be the active one.
  std::unique_ptr<edge::Edge> make_edge_of_gallery(const std::string& gallery) {
    v1::GetGalleryRequest request;
    request.set_gallery(gallery);
    const auto row = auth->get_gallery(request);
    EXPECT_TRUE(row.ok()) << row.error().message;
    return make_edge_for(row->key_id(), "edge-1", "fake", true, nullptr);
  }

  // The tenant's next key, active.
  std::string rotate(const std::string& tenant = "tenant", bool evaluation = false) {
    auto created = key->store().create(tenant, evaluation);
    EXPECT_TRUE(created.ok()) << created.error().message;
    EXPECT_TRUE(key->store().activate(created->id).ok());
    return to_hex(created->id);
  }

  Result<bool> token_status = true;
  std::unique_ptr<key::KeyServer> key;
  std::unique_ptr<auth::AuthServer> auth;

 private:
  std::unique_ptr<edge::Edge> make_edge_for(const std::string& key_id, const std::string& edge_id,
                                            const std::string& engine, bool admit,
                                            AuthService* server) {
    if (admit) {
      const Status admitted = auth->admit_edge(key_id, edge_id, kTestDimension);
      EXPECT_TRUE(admitted.ok()) << admitted.error().message;
    }
    EXPECT_TRUE(key->grant_book().give_first({{edge_id, "*", "*", grants::kAllRights}}).ok());
    auto secret = key->issue_edge_seed(key_id, edge_id);
    EXPECT_TRUE(secret.ok()) << secret.error().message;
    auto edge =
        edge::Edge::create(edge_id, key_id, *secret, std::make_unique<FakeEngine>(engine),
                           std::make_unique<NoDetector>(), server != nullptr ? *server : *auth);
    EXPECT_TRUE(edge.ok()) << edge.error().message;
    return std::move(*edge);
  }

  std::filesystem::path directory_;
};

inline Result<edge::Enrolment> enroll(edge::Edge& edge, const std::string& gallery,
                                      unsigned person) {
  const face::Embedding embedding = make_embedding(person);
  return edge.enroll(gallery, subject_name(person), std::span(&embedding, 1));
}

// One block of people without originals.
inline Status import_people(Parties& parties, edge::Edge& edge, const std::string& gallery,
                            unsigned begin, unsigned end) {
  std::vector<std::string> subjects;
  std::vector<float> rows;
  for (unsigned person = begin; person < end; ++person) {
    subjects.push_back(subject_name(person));
    const face::Embedding embedding = make_embedding(person);
    rows.insert(rows.end(), embedding.begin(), embedding.end());
  }
  ThreadPool one(1);
  BAUTA_TRY(const v1::EnrolBlockRequest request, edge.encrypt_block(gallery, subjects, rows, one));
  return parties.auth->enrol_block(request);
}

// As `bauta gallery rewrite` does.
inline Result<auth::Rewriting> rewrite(Parties& parties, const std::string& gallery) {
  v1::GetGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_TRY(const v1::Gallery row, parties.auth->get_gallery(request));
  return parties.auth->rewrite(
      gallery, [&](const match::TiledCiphertexts& images, std::span<const uint32_t> coefficients) {
        return parties.key->rewrite_block(gallery, row.key_id(), row.contract().dimension(), images,
                                          coefficients);
      });
}

class SystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bauta-system-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    if (!policy().empty()) {
      std::filesystem::create_directory(directory_ / "key");
      std::ofstream(directory_ / "key" / "policy.json") << policy();
    }
    parties_ = std::make_unique<Parties>(directory_);
    if (!parties_->token_status.ok()) GTEST_SKIP() << parties_->token_status.error().message;
    parties_->create_gallery("gallery");
  }
  void TearDown() override {
    parties_.reset();
    std::filesystem::remove_all(directory_);
  }

  // The key service's policy.json; empty: none.
  virtual std::string policy() const { return ""; }

  std::filesystem::path directory_;
  std::unique_ptr<Parties> parties_;
};

}  // namespace bauta
