#include "services/key/oversight.h"

#include <fstream>

#include <gtest/gtest.h>

#include "keys/embedded_token.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

class OversightTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "bauta-oversight-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    ASSERT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
    auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token")).value();
    auto store = keys::KeyStore::open(std::move(token), keys_directory()).value();
    server_ = KeyServer::open(std::move(store), keys_directory()).value();
    ASSERT_TRUE(server_->give_first_key("tenant").ok());
    ASSERT_TRUE(server_->give_first_key("other").ok());
    oversight_ = std::make_unique<Oversight>(server_->store(), keys_directory());
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(directory_);
  }
  std::filesystem::path keys_directory() const { return directory_ / "keys"; }
  std::vector<v1::KeyStatus> list(const std::string& tenant) {
    v1::ListKeysRequest request;
    request.set_tenant(tenant);
    const v1::ListKeysReply reply = oversight_->list_keys(request).value();
    return {reply.keys().begin(), reply.keys().end()};
  }

  std::filesystem::path directory_;
  std::unique_ptr<KeyServer> server_;
  std::unique_ptr<Oversight> oversight_;
};

TEST_F(OversightTest, ListsATenantsKeysWithTheirStates) {
  const keys::KeyRecord first = server_->store().active("tenant").value();
  const keys::KeyRecord second = server_->store().create("tenant").value();
  ASSERT_TRUE(server_->store().activate(second.id).ok());
  ASSERT_TRUE(server_->store().suspend(first.id).ok());
  const std::vector<v1::KeyStatus> keys = list("tenant");
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].key_id(), to_hex(first.id));
  EXPECT_EQ(keys[0].state(), "suspended");
  EXPECT_EQ(keys[0].since_s(), server_->store().find(first.id)->suspended_at_s);
  EXPECT_EQ(keys[1].generation(), 2u);
  EXPECT_EQ(keys[1].state(), "active");
  EXPECT_EQ(keys[1].since_s(), server_->store().find(second.id)->activated_at_s);
  ASSERT_TRUE(server_->store().destroy(first.id).ok());
  EXPECT_EQ(list("tenant")[0].state(), "destroyed");
  EXPECT_GT(list("tenant")[0].since_s(), 0);
  EXPECT_TRUE(list("nobody").empty());
}

TEST_F(OversightTest, ChecksTheLogWhileItIsWritten) {
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; i < 200 && !stop.stop_requested(); ++i)
      EXPECT_TRUE(server_->ledger().changed(LogEvent::key_suspended, keys::KeyId{}).ok());
  });
  // Not signed before some time has passed, or records were added.
  const auto deadline = std::chrono::steady_clock::now() + 10 * kUnsignedTime;
  Result<v1::CheckDecisionsReply> checked = oversight_->check_decisions({});
  for (int i = 0; i < 200 || (!checked.ok() && std::chrono::steady_clock::now() < deadline); ++i) {
    checked = oversight_->check_decisions({});
    EXPECT_TRUE(checked.ok() || checked.error().code != ErrorCode::corrupt)
        << checked.error().message;
  }
  ASSERT_TRUE(checked.ok()) << checked.error().message;
  EXPECT_GT(checked->signed_records(), 0u);
}

TEST_F(OversightTest, SeesAChangedLog) {
  server_.reset();  // signs
  auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token")).value();
  const auto store = keys::KeyStore::open(std::move(token), keys_directory()).value();
  Oversight oversight(*store, keys_directory());
  ASSERT_TRUE(oversight.check_decisions({}).ok());
  std::fstream log(keys_directory() / "decisions.log");
  log.seekp(-40, std::ios::end);
  log.put('\x5a');
  log.close();
  EXPECT_EQ(oversight.check_decisions({}).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace bauta::key
