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

TEST_F(EdgeKeysTest, DeliversNothingToARevokedEdge) {
  const auto server = open();
  ASSERT_TRUE(ask(*server, "door").ok());
  for (const char* name : {"door", "gate", "revoked"})
    ASSERT_TRUE(refuse_deliveries(deliveries(), name).ok());
  EXPECT_EQ(forget_deliveries(deliveries(), "door").value(), 1u);
  EXPECT_EQ(forget_deliveries(deliveries(), "revoked").value(), 0u);
  for (const char* name : {"door", "gate", "revoked"})
    EXPECT_EQ(ask(*server, name).error().code, ErrorCode::refused) << name;
  EXPECT_TRUE(ask(*server, "gate-2").ok());
  EXPECT_EQ(refuse_deliveries(deliveries(), "../door").error().code, ErrorCode::invalid_argument);
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

// --- The first key of a tenant

TEST_F(EdgeKeysTest, AFirstKeyIsMadeOnceAndOnRecord) {
  const uint64_t before = keys_->ledger().log().head().sequence;
  ASSERT_TRUE(keys_->give_first_key("other").ok());
  ASSERT_TRUE(keys_->give_first_key("other").ok());
  EXPECT_EQ(keys_->store().active("other")->generation, 1u);
  EXPECT_EQ(keys_->ledger().log().head().sequence, before + 2);
  // An interruption has left one that is not active.
  const keys::KeyRecord left = keys_->store().create("third").value();
  ASSERT_TRUE(keys_->give_first_key("third").ok());
  EXPECT_EQ(keys_->store().active("third")->id, left.id);
}

TEST_F(EdgeKeysTest, ATenantWhoseKeyIsSuspendedOrDestroyedGetsNoOther) {
  const keys::KeyId id = keys_->store().active("tenant")->id;
  ASSERT_TRUE(keys_->store().suspend(id).ok());
  EXPECT_EQ(keys_->give_first_key("tenant").error().code, ErrorCode::refused);
  ASSERT_TRUE(keys_->store().destroy(id).ok());
  EXPECT_EQ(keys_->give_first_key("tenant").error().code, ErrorCode::refused);
  EXPECT_EQ(keys_->store().list()->size(), 1u);
}

// --- The signed log

TEST_F(EdgeKeysTest, TheLogIsSignedWhileTheServiceRuns) {
  ASSERT_TRUE(keys_->give_first_key("other").ok());
  const auto signing_keys = keys_->store().signing_keys().value();
  const auto give_up = std::chrono::steady_clock::now() + 4 * kUnsignedTime;
  while (!verify_log(directory_ / "keys", signing_keys).ok() &&
         std::chrono::steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto log = verify_log(directory_ / "keys", signing_keys);
  ASSERT_TRUE(log.ok()) << log.error().message;
  EXPECT_EQ(log->signed_records, 2u);
}

}  // namespace
}  // namespace bauta::key
