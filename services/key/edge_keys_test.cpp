#include "services/key/edge_keys.h"

#include <gtest/gtest.h>

#include "keys/embedded_token.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

class EdgeKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "bauta-edge-keys-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
    auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token")).value();
    auto store = keys::KeyStore::open(std::move(token), directory_ / "keys").value();
    keys_ = KeyServer::open(std::move(store), directory_ / "keys").value();
    const keys::KeyRecord key = keys_->store().create("tenant").value();
    ASSERT_TRUE(keys_->store().activate(key.id).ok());
    key_id_ = to_hex(key.id);
  }
  void TearDown() override {
    keys_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::filesystem::path deliveries() const { return directory_ / "delivered"; }
  std::unique_ptr<EdgeKeyServer> open() {
    return EdgeKeyServer::open(keys_->store(), deliveries()).value();
  }
  Result<v1::EdgeKey> ask(EdgeKeyServer& server, const std::string& edge) {
    v1::GetEdgeKeyRequest request;
    request.set_key_id(key_id_);
    request.set_edge_id(edge);
    return server.get_edge_key(request);
  }

  std::filesystem::path directory_;
  std::unique_ptr<KeyServer> keys_;
  std::string key_id_;
};

TEST_F(EdgeKeysTest, DeliversOnceAlsoAcrossRestarts) {
  const auto server = open();
  const auto door = ask(*server, "door");
  ASSERT_TRUE(door.ok()) << door.error().message;
  EXPECT_NE(ask(*server, "gate").value().seed(), door->seed());
  EXPECT_EQ(ask(*server, "door").error().code, ErrorCode::refused);
  EXPECT_EQ(ask(*open(), "door").error().code, ErrorCode::refused);
  EXPECT_EQ(forget_deliveries(deliveries(), "door").value(), 1u);
  EXPECT_EQ(ask(*server, "door").value().seed(), door->seed());
  EXPECT_EQ(ask(*server, "gate").error().code, ErrorCode::refused);
}

TEST_F(EdgeKeysTest, DeliversWhatTheServersSwitchingKeyIsFor) {
  const v1::EdgeKey delivered = ask(*open(), "door").value();
  SecretBytes seed = SecretBytes::create(delivered.seed().size()).value();
  std::copy(delivered.seed().begin(), delivered.seed().end(), seed.data());
  const match::Parameters parameters = match::Parameters::create(64).value();
  const auto expanded =
      secret::SecretKey::expand(parameters.ring(), seed, kEdgeSecretPurpose).value();
  EXPECT_EQ(expanded.id(), keys_->issue_edge_key(key_id_, "door", 64).value().id());
}

TEST_F(EdgeKeysTest, RefusesNamesThatAreNoFileNames) {
  const auto server = open();
  for (const char* name : {"", "..", "a/b", "/etc/passwd"})
    EXPECT_EQ(ask(*server, name).error().code, ErrorCode::invalid_argument);
  v1::GetActiveKeyRequest request;
  request.set_tenant("tenant");
  EXPECT_EQ(server->get_active_key(request).value().key_id(), key_id_);
  request.set_tenant("nobody");
  EXPECT_FALSE(server->get_active_key(request).ok());
}

}  // namespace
}  // namespace bauta::key
