// The decision log under many callers: who waits for which sync, and what is left of it when a
// process is killed, the disk fails or is full.

#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <random>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/embedded_token.h"
#include "services/key/decision_log.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class GroupCommitTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-log-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::unique_ptr<DecisionLog> open(SyncFile sync_file = {}) const {
    auto log = DecisionLog::open(
        directory_, [](const LogRecord&) {}, {}, std::move(sync_file));
    EXPECT_TRUE(log.ok()) << log.error().message;
    return std::move(*log);
  }
  static Status append(DecisionLog& log, const std::string& gallery,
                       Durability durability = Durability::synced) {
    return log.update(
        [&]() -> Result<std::vector<LogEntry>> {
          LogEntry entry;
          entry.gallery = gallery;
          entry.edge_id = "door-7";
          return std::vector<LogEntry>{entry};
        },
        durability);
  }
  // The galleries of the records that a new reader finds, and how often each.
  std::map<std::string, int> read() const {
    std::map<std::string, int> found;
    const auto log = DecisionLog::open(
        directory_, [&](const LogRecord& record) { ++found[record.entry.gallery]; });
    EXPECT_TRUE(log.ok()) << log.error().message;
    return found;
  }
  fs::path path() const { return directory_ / "decisions.log"; }

  fs::path directory_;
};

// Eventually; the machine may be busy.
template <typename Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
  return condition();
}

TEST_F(GroupCommitTest, EverybodyWaitsForASyncThatBeganAfterHisRecord) {
  constexpr int kThreads = 32, kAppends = 10;
  std::atomic<uint64_t> visited = 0, durable = 0;
  std::atomic<int> syncs = 0;
  std::map<std::string, uint64_t> sequences;  // written with the log locked
  std::mutex mutex;
  const auto visit = [&](const LogRecord& record) {
    std::lock_guard lock(mutex);
    sequences[record.entry.gallery] = record.sequence;
    visited = record.sequence;
  };
  const auto slow_sync = [&](int) {
    const uint64_t covered = visited;
    ++syncs;
    std::this_thread::sleep_for(2ms);
    durable = covered;
    return 0;
  };
  const auto log = DecisionLog::open(directory_, visit, {}, slow_sync).value();
  std::atomic<int> wrong = 0;
  const auto append_all = [&](int thread) {
    for (int i = 0; i < kAppends; ++i) {
      const std::string name = fmt::format("{}-{}", thread, i);
      if (!append(*log, name).ok()) ++wrong;
      const uint64_t now_durable = durable;
      std::lock_guard lock(mutex);
      if (sequences.at(name) > now_durable) ++wrong;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread) threads.emplace_back(append_all, thread);
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(visited, uint64_t{kThreads * kAppends});
  EXPECT_LT(syncs, kThreads * kAppends / 4);
}

TEST_F(GroupCommitTest, WrittenRecordsWaitForNoSyncAndAreSyncedSoon) {
  std::atomic<bool> disk_answers = false;
  std::atomic<uint64_t> synced_bytes = 0;
  const auto log = open([&](int file) {
    const uint64_t size = static_cast<uint64_t>(lseek(file, 0, SEEK_END));
    while (!disk_answers) std::this_thread::sleep_for(1ms);
    synced_bytes = size;
    return 0;
  });
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(append(*log, std::to_string(i), Durability::written).ok());
  EXPECT_EQ(synced_bytes, 0u);
  EXPECT_EQ(log->head().sequence, 50u);
  EXPECT_EQ(read().size(), 50u);
  disk_answers = true;
  const uintmax_t size = fs::file_size(path());
  EXPECT_TRUE(comes_true([&] { return synced_bytes == size; }));
}

TEST_F(GroupCommitTest, WhatIsWrittenIsSyncedWhenTheLogIsClosed) {
  uint64_t synced_bytes = 0;
  auto log = open([&](int file) {
    synced_bytes = static_cast<uint64_t>(lseek(file, 0, SEEK_END));
    return 0;
  });
  ASSERT_TRUE(append(*log, "a", Durability::written).ok());
  log.reset();
  EXPECT_EQ(synced_bytes, fs::file_size(path()));
}

TEST_F(GroupCommitTest, AFailedSyncFailsEverybodyWhoWaitsAndAllLaterCalls) {
  constexpr int kThreads = 8;
  std::atomic<bool> broken = false;
  const auto log = open([&](int) {
    std::this_thread::sleep_for(2ms);
    errno = EIO;
    return broken ? -1 : 0;
  });
  ASSERT_TRUE(append(*log, "before").ok());
  broken = true;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&] {
        if (!append(*log, "during").ok()) ++failed;
      });
  }
  EXPECT_EQ(failed, kThreads);
  broken = false;  // and would succeed now, without the pages that were lost
  for (const Durability durability : {Durability::synced, Durability::written}) {
    const Status after = append(*log, "after", durability);
    ASSERT_FALSE(after.ok());
    EXPECT_EQ(after.error().code, ErrorCode::unavailable);
    EXPECT_NE(after.error().message.find("restart the machine"), std::string::npos);
  }
  EXPECT_FALSE(
      log->update([]() -> Result<std::vector<LogEntry>> { return std::vector<LogEntry>(); }).ok());
  EXPECT_EQ(read().count("after"), 0u);
}

TEST_F(GroupCommitTest, AFailedBackgroundSyncStopsTheLogToo) {
  const auto log = open([](int) {
    errno = EIO;
    return -1;
  });
  EXPECT_TRUE(comes_true([&] { return !append(*log, "a", Durability::written).ok(); }));
}

// Of several records, too: those before it in the same call go with it.
TEST_F(GroupCommitTest, AFailedWriteLeavesNothing) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const auto log = open();
    if (!append(*log, "a").ok()) _exit(1);
    const uintmax_t size = fs::file_size(path());
    struct rlimit limit {};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = size + 300;  // within the second of three
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = log->update([]() -> Result<std::vector<LogEntry>> {
      return std::vector<LogEntry>(3, LogEntry{.gallery = std::string(100, 'b'), .edge_id = "e"});
    });
    if (status.ok() || fs::file_size(path()) != size) _exit(2);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(append(*log, "c").ok() ? 0 : 3);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_EQ(read(), (std::map<std::string, int>{{"a", 1}, {"c", 1}}));
}

// One that dies while it writes leaves a piece of a record behind whole ones that others have
// written, and that nobody has synced yet.
TEST_F(GroupCommitTest, RemovingAPieceOfARecordKeepsWhatOthersAreAboutToSync) {
  std::atomic<bool> disk_answers = false;
  const auto log = open([&](int) {
    while (!disk_answers) std::this_thread::sleep_for(1ms);
    return 0;
  });
  const auto other = open();
  std::jthread waiting([&] { EXPECT_TRUE(append(*log, "a").ok()); });
  ASSERT_TRUE(append(*log, "b", Durability::written).ok());
  EXPECT_TRUE(comes_true([&] { return log->head().sequence == 2; }));
  std::ofstream(path(), std::ios::binary | std::ios::app) << std::string("\x40\0\0\0\xbf\xff", 6);
  ASSERT_TRUE(append(*other, "c").ok());
  EXPECT_EQ(other->head().sequence, 3u);
  disk_answers = true;
  waiting.join();
  ASSERT_TRUE(append(*log, "d").ok());
  EXPECT_EQ(read(), (std::map<std::string, int>{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}}));
}

TEST_F(GroupCommitTest, AppendsGoOnWhileSomebodySigns) {
  ASSERT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
  const auto store =
      keys::KeyStore::open(
          keys::Token::open(keys::embedded_token_config(directory_ / "token")).value(), directory_)
          .value();
  ASSERT_TRUE(store->create_signing_key().ok());
  const auto log = open();
  ASSERT_TRUE(append(*log, "a").ok());
  // Stands for another process whose token takes its time.
  const int lock = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(lock, LOCK_EX), 0);
  std::atomic<bool> done = false;
  std::jthread signing([&] {
    EXPECT_TRUE(log->sign(*store).ok());
    done = true;
  });
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(append(*log, "b").ok());
  EXPECT_FALSE(done);
  ::close(lock);
  signing.join();
  EXPECT_EQ(verify_log(directory_, store->signing_keys().value())->signed_records, 21u);
}

// Appends from several threads, names its records "PREFIX-..", and reports each that was
// acknowledged, until it is killed.
[[noreturn]] void append_until_killed(const fs::path& directory, const std::string& prefix,
                                      int acknowledgements) {
  const auto log = DecisionLog::open(directory, [](const LogRecord&) {});
  const auto append_for_ever = [&](int thread) {
    for (int i = 0; log.ok(); ++i) {
      LogEntry entry;
      entry.gallery = fmt::format("{}-{}-{}", prefix, thread, i);
      const Status appended = (*log)->update(
          [&]() -> Result<std::vector<LogEntry>> { return std::vector<LogEntry>{entry}; },
          thread % 2 == 0 ? Durability::synced : Durability::written);
      const std::string line = entry.gallery + "\n";
      if (!appended.ok() ||
          ::write(acknowledgements, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        _exit(1);
    }
    _exit(1);
  };
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 16; ++thread) threads.emplace_back(append_for_ever, thread);
  threads.clear();
  _exit(1);
}

TEST_F(GroupCommitTest, NothingAcknowledgedIsLostWhenTwoProcessesAreKilled) {
  std::mt19937 random(14);
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    std::vector<pid_t> children;
    for (const char* name : {"x", "y"}) {
      const pid_t child = fork();
      if (child == 0) append_until_killed(directory_, fmt::format("{}{}", name, round), ends[1]);
      children.push_back(child);
    }
    close(ends[1]);
    for (const pid_t child : children) {
      std::this_thread::sleep_for(std::chrono::microseconds(5000 + random() % 40000));
      kill(child, SIGKILL);
      int status = 0;
      waitpid(child, &status, 0);
      EXPECT_TRUE(WIFSIGNALED(status)) << "an append failed";
    }
    std::string lines, piece(1 << 16, '\0');
    for (ssize_t count; (count = ::read(ends[0], piece.data(), piece.size())) > 0;)
      lines.append(piece, 0, static_cast<size_t>(count));
    close(ends[0]);
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) acknowledged.push_back(line);
  }
  EXPECT_GT(acknowledged.size(), 100u);
  const std::map<std::string, int> found = read();
  for (const std::string& name : acknowledged) {
    const auto record = found.find(name);
    ASSERT_NE(record, found.end()) << name;
    EXPECT_EQ(record->second, 1) << name;
  }
}

}  // namespace
}  // namespace bauta::key
