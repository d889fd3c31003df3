#include "services/key/grant_book.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "keys/embedded_token.h"
#include "services/key/edge_keys.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;
using grants::Grant;
using grants::kAllRights;
using grants::Right;

class GrantBookTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-grant-book-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    const auto made = keys::create_embedded_token(directory_ / "token");
    if (!made.ok()) GTEST_SKIP() << made.error().message;
  }
  void TearDown() override { fs::remove_all(directory_); }

  Result<std::unique_ptr<KeyServer>> open() {
    BAUTA_TRY(auto token, keys::Token::open(keys::embedded_token_config(directory_ / "token")));
    BAUTA_TRY(auto store, keys::KeyStore::open(std::move(token), directory_ / "key"));
    return KeyServer::open(std::move(store), directory_ / "key");
  }
  fs::path file() const { return directory_ / "key" / "grants"; }
  static bool may_enrol(KeyServer& server, const std::string& edge) {
    return server.grants().check(edge, "default", "staff", Right::enrol).ok();
  }
  std::vector<std::pair<LogEvent, std::string>> on_record(KeyServer& server) {
    std::vector<std::pair<LogEvent, std::string>> found;
    const auto visit = [&](const LogRecord& record) {
      if (is_of_grants(record.entry.event))
        found.emplace_back(record.entry.event, record.entry.edge_id);
    };
    const auto signers = server.store().signing_keys().value();
    EXPECT_TRUE(DecisionLog::open(directory_ / "key", visit, signers).ok());
    return found;
  }

  fs::path directory_;
  const Grant door_{"door", "default", "staff", kAllRights};
};

TEST_F(GrantBookTest, GivesTakesAndRevokesOnRecord) {
  auto server = open().value();
  EXPECT_FALSE(may_enrol(*server, "door"));
  ASSERT_TRUE(server->grant_book().give(door_).ok());
  EXPECT_TRUE(may_enrol(*server, "door"));
  EXPECT_EQ(server->grant_book().take("door", "default", "staff").value().size(), 1u);
  EXPECT_FALSE(may_enrol(*server, "door"));
  EXPECT_EQ(server->grant_book().take("door").error().code, ErrorCode::not_found);
  ASSERT_TRUE(server->grant_book().give(door_).ok());
  ASSERT_TRUE(server->grant_book().revoke("door").ok());
  ASSERT_TRUE(server->grant_book().revoke("door").ok());
  EXPECT_EQ(server->grant_book().give(door_).error().code, ErrorCode::refused);
  server.reset();
  server = open().value();
  EXPECT_FALSE(may_enrol(*server, "door"));
  EXPECT_EQ(server->grants().number(), 4u);
  const std::vector<std::pair<LogEvent, std::string>> expected{{LogEvent::grant_given, "door"},
                                                               {LogEvent::grant_taken, "door"},
                                                               {LogEvent::grant_given, "door"},
                                                               {LogEvent::edge_revoked, "door"}};
  EXPECT_EQ(on_record(*server), expected);
}

TEST_F(GrantBookTest, RecordsSayNumberRightsAndEnd) {
  const GrantRecord record{(uint64_t{1} << 60) + 5, 11, 1'800'000'000'123};
  const GrantRecord again = GrantRecord::unpack(record.pack());
  EXPECT_EQ(again.number, record.number);
  EXPECT_EQ(again.rights, record.rights);
  EXPECT_EQ(again.not_after_ms, record.not_after_ms);
}

TEST_F(GrantBookTest, AnotherProcessSeesAChange) {
  const auto server = open().value();
  const auto signers = server->store().signing_keys().value();
  const auto ledger = Ledger::open(directory_ / "key", signers).value();
  const auto other = GrantBook::open(server->store(), *ledger, directory_ / "key").value();
  ASSERT_TRUE(other->give(door_).ok());
  usleep(1000 * (grants::kGrantsFollow_ms + 50));
  EXPECT_TRUE(may_enrol(*server, "door"));
  ASSERT_TRUE(server->grant_book().give({"desk", "default", "*", kAllRights}).ok());
  ASSERT_TRUE(other->give({"gate", "default", "*", kAllRights}).ok());
  EXPECT_EQ(other->grants().number(), 3u);
  EXPECT_EQ(ledger->grants().number, 3u);
}

TEST_F(GrantBookTest, DoesNotStartWithoutTheListThatIsOnRecord) {
  ASSERT_TRUE(open().value()->grant_book().give(door_).ok());
  const Bytes first = read_file(file(), 1 << 20).value();
  ASSERT_TRUE(open().value()->grant_book().take("door").ok());
  const Bytes second = read_file(file(), 1 << 20).value();

  ASSERT_TRUE(write_file_atomically(file(), first).ok());
  auto older = open();
  ASSERT_FALSE(older.ok());
  EXPECT_NE(older.error().message.find("older list"), std::string::npos) << older.error().message;
  fs::remove(file());
  auto missing = open();
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos) << missing.error().message;
  Bytes damaged = second;
  damaged[20] ^= 1;
  ASSERT_TRUE(write_file_atomically(file(), damaged).ok());
  EXPECT_EQ(open().error().code, ErrorCode::corrupt);
  ASSERT_TRUE(write_file_atomically(file(), second).ok());
  EXPECT_TRUE(open().ok());
}

// The list is written before its record.
TEST_F(GrantBookTest, AnInterruptedChangeIsBroughtOnRecord) {
  ASSERT_TRUE(open().value()->grant_book().give(door_).ok());
  const fs::path log = directory_ / "key" / "decisions.log";
  const fs::path head = directory_ / "key" / "decisions.head";
  const Bytes log_before = read_file(log, 1 << 20).value();
  const Bytes head_before = read_file(head, 1 << 20).value();
  ASSERT_TRUE(open().value()->grant_book().give({"desk", "default", "*", kAllRights}).ok());
  ASSERT_TRUE(write_file_atomically(log, log_before).ok());
  ASSERT_TRUE(write_file_atomically(head, head_before).ok());
  auto server = open().value();
  EXPECT_TRUE(may_enrol(*server, "desk"));
  EXPECT_EQ(server->ledger().grants().number, 2u);
}

TEST_F(GrantBookTest, FirstGrantsAreGivenOnce) {
  const auto server = open().value();
  GrantBook& book = server->grant_book();
  EXPECT_TRUE(book.give_first({door_}).value());
  EXPECT_FALSE(book.give_first({door_}).value());
  ASSERT_TRUE(book.take("door").ok());
  EXPECT_FALSE(book.give_first({door_}).value());
  ASSERT_TRUE(book.revoke("gate").ok());
  EXPECT_FALSE(book.give_first({{"gate", "default", "*", kAllRights}}).value());
  EXPECT_FALSE(may_enrol(*server, "door"));
}

TEST_F(GrantBookTest, EdgesFromBeforeKeepWhatTheyCouldDo) {
  const auto server = open().value();
  ASSERT_TRUE(server->give_first_key("default").ok());
  const std::string key = to_hex(server->store().active("default").value().id);
  const fs::path delivered = directory_ / "key" / "delivered";
  const auto edge_keys = EdgeKeyServer::open(server->store(), delivered).value();
  for (const char* edge : {"door", "gate", "dots.in.its.name"}) {
    v1::GetEdgeKeyRequest request;
    request.set_key_id(key);
    request.set_edge_id(edge);
    ASSERT_TRUE(edge_keys->get_edge_key(request).ok());
  }
  ASSERT_TRUE(refuse_deliveries(delivered, "gate").ok());
  ASSERT_TRUE(server->grant_book().take_over_deliveries().ok());
  EXPECT_EQ(server->grants().number(), 1u);
  ASSERT_TRUE(server->grant_book().take("door").ok());
  ASSERT_TRUE(server->grant_book().take_over_deliveries().ok());
  EXPECT_FALSE(may_enrol(*server, "door"));
  ASSERT_TRUE(server->grant_book().give(door_).ok());
  EXPECT_TRUE(may_enrol(*server, "door"));
  EXPECT_TRUE(may_enrol(*server, "dots.in.its.name"));
  EXPECT_FALSE(server->grants().check("door", "other", "staff", Right::enrol).ok());
  EXPECT_FALSE(may_enrol(*server, "gate"));
  EXPECT_FALSE(server->grants().check_not_revoked("gate").ok());
}

TEST_F(GrantBookTest, TellsTheAuthenticationServer) {
  const auto server = open().value();
  ASSERT_TRUE(server->give_first_key("default").ok());
  v1::GetGrantsRequest request;
  EXPECT_EQ(server->get_grants(request)->number(), 0u);
  ASSERT_TRUE(server->grant_book().give(door_).ok());
  const v1::GetGrantsReply reply = server->get_grants(request).value();
  EXPECT_EQ(reply.number(), 1u);
  ASSERT_EQ(reply.keys_size(), 1);
  EXPECT_EQ(reply.keys(0).tenant(), "default");
  const grants::SignedGrants sent = grants::parse_grants(as_bytes(reply.grants())).value();
  EXPECT_TRUE(grants::check_signed(sent, trusted_keys(server->store()).value(), "it").ok());
  ASSERT_EQ(reply.signers_size(), 1);
  request.set_after_number(1);
  EXPECT_TRUE(server->get_grants(request)->grants().empty());
}

}  // namespace
}  // namespace bauta::key
