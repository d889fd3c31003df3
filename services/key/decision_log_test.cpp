// The chain of the decision log: what it holds, and that no byte of it changes unnoticed.

#include "services/key/decision_log.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/embedded_token.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

class DecisionLogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-log-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<DecisionLog> open() {
    records_.clear();
    auto log = DecisionLog::open(directory_,
                                 [this](const LogRecord& record) { records_.push_back(record); });
    EXPECT_TRUE(log.ok()) << log.error().message;
    return std::move(*log);
  }
  static LogEntry entry(const std::string& gallery) {
    LogEntry entry;
    entry.event = LogEvent::identification;
    entry.outcome = LogOutcome::rejected;
    entry.gallery = gallery;
    entry.edge_id = "door-7";
    entry.key = {1, 2, 3};
    entry.nonce = {9};
    return entry;
  }
  static Status append(DecisionLog& log, const std::string& gallery) {
    return log.update(
        [&]() -> Result<std::vector<LogEntry>> { return std::vector<LogEntry>{entry(gallery)}; });
  }
  std::unique_ptr<keys::KeyStore> open_store() {
    EXPECT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
    auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token")).value();
    auto store = keys::KeyStore::open(std::move(token), directory_).value();
    EXPECT_TRUE(store->create_signing_key().ok());
    return store;
  }
  fs::path path() const { return directory_ / "decisions.log"; }
  static void write(const fs::path& file, const Bytes& bytes) {
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

  fs::path directory_;
  std::vector<LogRecord> records_;
};

TEST_F(DecisionLogTest, IsReadAgainAsItWasWritten) {
  LogHead head;
  {
    auto log = open();
    EXPECT_EQ(log->head().sequence, 0u);
    for (const char* gallery : {"a", "b", "c"}) ASSERT_TRUE(append(*log, gallery).ok());
    EXPECT_EQ(records_.size(), 3u);
    head = log->head();
  }
  auto log = open();
  ASSERT_EQ(records_.size(), 3u);
  EXPECT_EQ(records_[1].sequence, 2u);
  EXPECT_EQ(records_[1].entry.gallery, "b");
  EXPECT_EQ(records_[1].entry.edge_id, "door-7");
  EXPECT_EQ(records_[1].entry.nonce, entry("b").nonce);
  EXPECT_EQ(records_[1].entry.key, entry("b").key);
  EXPECT_EQ(log->head().digest, head.digest);
}

TEST_F(DecisionLogTest, TwoOfThemSeeEachOthersRecords) {
  auto log = open();
  size_t seen = 0;
  auto other = DecisionLog::open(directory_, [&](const LogRecord&) { ++seen; });
  ASSERT_TRUE(append(*log, "a").ok());
  ASSERT_TRUE(append(**other, "b").ok());
  EXPECT_EQ(seen, 2u);
  ASSERT_TRUE(append(*log, "c").ok());
  EXPECT_EQ(records_.size(), 3u);
  EXPECT_EQ(records_[1].entry.gallery, "b");
}

TEST_F(DecisionLogTest, AnErrorOfTheDecisionAppendsNothing) {
  auto log = open();
  const Status status = log->update(
      []() -> Result<std::vector<LogEntry>> { return make_error(ErrorCode::refused, "no"); });
  EXPECT_EQ(status.error().code, ErrorCode::refused);
  EXPECT_TRUE(records_.empty());
}

TEST_F(DecisionLogTest, AnInterruptedAppendIsRemoved) {
  {
    auto log = open();
    ASSERT_TRUE(append(*log, "a").ok());
    ASSERT_TRUE(append(*log, "b").ok());
  }
  const Bytes whole = read_file(path(), 1 << 20).value();
  const size_t record = (whole.size() - 10) / 2;
  for (size_t kept = 1; kept < record; kept += 5) {
    write(path(),
          Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(10 + record + kept)));
    auto log = open();
    ASSERT_EQ(records_.size(), 1u) << kept;
    ASSERT_TRUE(append(*log, "c").ok());
    log.reset();
    open();
    EXPECT_EQ(records_.size(), 2u);
  }
}

// By opening it, and, signed, by the verification.
TEST_F(DecisionLogTest, AnyFlippedByteIsFound) {
  const auto store = open_store();
  const auto signing_keys = store->signing_keys().value();
  {
    auto log = open();
    for (const char* gallery : {"a", "b", "c"}) ASSERT_TRUE(append(*log, gallery).ok());
    ASSERT_TRUE(sign_head(directory_, log->head(), *store).ok());
  }
  const auto verified = verify_log(directory_, signing_keys);
  ASSERT_TRUE(verified.ok()) << verified.error().message;
  EXPECT_EQ(verified->signed_records, 3u);
  EXPECT_EQ(verified->decisions, 3u);
  for (const char* file : {"decisions.log", "decisions.head"}) {
    const Bytes good = read_file(directory_ / file, 1 << 20).value();
    for (size_t i = 0; i < good.size(); ++i)
      for (const uint8_t flip : {uint8_t{0x01}, uint8_t{0x80}}) {
        Bytes changed = good;
        changed[i] ^= flip;
        write(directory_ / file, changed);
        const auto found = verify_log(directory_, signing_keys);
        EXPECT_FALSE(found.ok()) << file << " byte " << i;
        if (std::string_view(file) == "decisions.log") {
          const auto opened = DecisionLog::open(
              directory_, [](const LogRecord&) {}, signing_keys);
          EXPECT_FALSE(opened.ok()) << "byte " << i;
        }
      }
    for (size_t size = 0; size < good.size(); ++size) {
      write(directory_ / file,
            Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
      EXPECT_FALSE(verify_log(directory_, signing_keys).ok()) << file << " cut to " << size;
    }
    write(directory_ / file, good);
  }
  EXPECT_TRUE(verify_log(directory_, signing_keys).ok());
}

TEST_F(DecisionLogTest, OpensOnlyOnWhatTheTokenHasSigned) {
  const auto store = open_store();
  const auto signing_keys = store->signing_keys().value();
  {
    auto log = open();
    for (const char* gallery : {"a", "b", "c"}) ASSERT_TRUE(append(*log, gallery).ok());
    ASSERT_TRUE(log->sign(*store).ok());
    ASSERT_TRUE(append(*log, "d").ok());
  }
  const auto refusal = [&] {
    const auto log = DecisionLog::open(
        directory_, [](const LogRecord&) {}, signing_keys);
    EXPECT_FALSE(log.ok());
    return log.ok() ? "" : log.error().message;
  };
  const Bytes whole = read_file(path(), 1 << 20).value();
  const auto record = static_cast<std::ptrdiff_t>((whole.size() - 10) / 4);
  const auto first = [&](std::ptrdiff_t bytes) {
    return Bytes(whole.begin(), whole.begin() + bytes);
  };
  // What was not signed yet may be missing; what was may not, and is left as it was found.
  write(path(), first(10 + 3 * record));
  EXPECT_TRUE(DecisionLog::open(
                  directory_, [](const LogRecord&) {}, signing_keys)
                  .ok());
  for (const std::ptrdiff_t kept :
       {std::ptrdiff_t{0}, std::ptrdiff_t{10}, 10 + record, 10 + 2 * record, 10 + 3 * record - 1}) {
    write(path(), first(kept));
    EXPECT_NE(refusal().find("backup"), std::string::npos) << kept;
    EXPECT_EQ(fs::file_size(path()), static_cast<uintmax_t>(kept));
  }
  fs::remove(path());
  EXPECT_NE(refusal().find("is missing"), std::string::npos);
  EXPECT_FALSE(fs::exists(path()));
  // Other records in the place of those that were signed.
  const fs::path elsewhere = directory_ / "elsewhere";
  auto forged = DecisionLog::open(elsewhere, [](const LogRecord&) {}).value();
  for (const char* gallery : {"a", "b", "x", "d"}) ASSERT_TRUE(append(*forged, gallery).ok());
  fs::copy(elsewhere / "decisions.log", path());
  EXPECT_NE(refusal().find("record 3"), std::string::npos);
  // A head that no key of the token has signed.
  write(path(), whole);
  EXPECT_FALSE(DecisionLog::open(directory_, [](const LogRecord&) {}).ok());
  EXPECT_TRUE(DecisionLog::open(
                  directory_, [](const LogRecord&) {}, signing_keys)
                  .ok());
}

TEST_F(DecisionLogTest, TheSignedHeadNeverGoesBack) {
  const auto store = open_store();
  auto log = open();
  for (const char* gallery : {"a", "b"}) ASSERT_TRUE(append(*log, gallery).ok());
  const LogHead head = log->head();
  ASSERT_TRUE(sign_head(directory_, head, *store).ok());
  EXPECT_TRUE(sign_head(directory_, head, *store).ok());
  EXPECT_EQ(sign_head(directory_, LogHead{}, *store).error().code, ErrorCode::corrupt);
  EXPECT_EQ(sign_head(directory_, {head.sequence - 1, head.digest}, *store).error().code,
            ErrorCode::corrupt);
  EXPECT_EQ(sign_head(directory_, {head.sequence, Digest{}}, *store).error().code,
            ErrorCode::corrupt);
  EXPECT_TRUE(sign_head(directory_, {head.sequence + 1, head.digest}, *store).ok());
}

// The one that is behind catches up rather than take the other's head for a forgery.
TEST_F(DecisionLogTest, TwoOfThemSignInTurn) {
  const auto store = open_store();
  auto log = open();
  auto other = DecisionLog::open(directory_, [](const LogRecord&) {}).value();
  ASSERT_TRUE(append(*log, "a").ok());
  ASSERT_TRUE(append(*other, "b").ok());
  ASSERT_TRUE(other->sign(*store).ok());
  EXPECT_TRUE(log->sign(*store).ok());
  EXPECT_EQ(verify_log(directory_, store->signing_keys().value())->signed_records, 2u);
}

TEST_F(DecisionLogTest, ProcessesThatAppendTogetherKeepTheChain) {
  constexpr int kProcesses = 4, kAppends = 50;
  for (int process = 0; process < kProcesses; ++process)
    if (fork() == 0) {
      auto log = DecisionLog::open(directory_, [](const LogRecord&) {});
      for (int i = 0; i < kAppends; ++i)
        if (!log.ok() || !append(**log, "a").ok()) _exit(1);
      _exit(0);
    }
  for (int process = 0; process < kProcesses; ++process) {
    int status = 0;
    wait(&status);
    EXPECT_EQ(status, 0);
  }
  open();
  EXPECT_EQ(records_.size(), size_t{kProcesses * kAppends});
}

}  // namespace
}  // namespace bauta::key
