// Audit records of searches: none is lost when the process is killed, and a search that cannot be
// recorded is not answered.

#include "store/audit_lane.h"

#include <atomic>
#include <csignal>
#include <set>
#include <sstream>

#include <fcntl.h>
#include <sys/resource.h>

#include "store/test_support.h"

namespace bauta::store {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using AuditLaneTest = CatalogueTest;

AuditEntry search_for(const std::string& subject) {
  return {AuditEvent::verification, AuditOutcome::rejected, "doors", subject};
}

// Eventually; the machine may be busy.
template <typename Condition>
bool comes_true(Condition condition) {
  for (int i = 0; i < 5000 && !condition(); ++i) std::this_thread::sleep_for(1ms);
  return condition();
}

std::set<std::string> subjects_on_record(Catalogue& catalogue) {
  std::set<std::string> subjects;
  for (uint64_t after = 0;;) {
    const auto records = catalogue.read_audit(after, 1000);
    if (!records.ok() || records->empty()) return subjects;
    for (const AuditRecord& record : *records) subjects.insert(record.entry.subject);
    after = records->back().sequence;
  }
}

TEST_F(AuditLaneTest, ManyAtOnceAreAllInTheChainWithEnrolmentsBetween) {
  constexpr int kThreads = 16, kRecords = 25;
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  std::atomic<int> failed = 0;
  {
    AuditLane lane(catalogue);
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        for (int i = 0; i < kRecords; ++i)
          if (!lane.append(search_for(fmt::format("{}-{}", thread, i))).ok()) ++failed;
      });
    for (int i = 0; i < 10; ++i)
      ASSERT_TRUE(catalogue
                      .enrol(gallery, fmt::format("anna-{}", i),
                             std::vector<Bytes>{original_bytes(static_cast<uint64_t>(i))})
                      .ok());
  }
  EXPECT_EQ(failed, 0);
  const auto head = catalogue.verify_audit_chain();
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->sequence, uint64_t{1 + kThreads * kRecords + 10});
}

TEST_F(AuditLaneTest, NobodyWaitsForTheSyncAndItComesByItself) {
  Catalogue catalogue = open();
  std::atomic<bool> disk_answers = false;
  std::atomic<int> syncs = 0;
  AuditLane lane(catalogue, [&]() -> Status {
    while (!disk_answers) std::this_thread::sleep_for(1ms);
    ++syncs;
    return catalogue.sync_audit();
  });
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(lane.append(search_for(std::to_string(i))).ok());
  EXPECT_EQ(catalogue.audit_head()->sequence, 50u);
  EXPECT_EQ(syncs, 0);
  disk_answers = true;
  EXPECT_TRUE(comes_true([&] { return syncs >= 1; }));
}

TEST_F(AuditLaneTest, EndingItSyncs) {
  Catalogue catalogue = open();
  int syncs = 0;
  {
    AuditLane lane(catalogue, [&]() -> Status {
      ++syncs;
      return {};
    });
    ASSERT_TRUE(lane.append(search_for("anna")).ok());
  }
  EXPECT_EQ(syncs, 1);
}

TEST_F(AuditLaneTest, AFailedSyncStopsSearchesAndSaysWhatToDo) {
  Catalogue catalogue = open();
  AuditLane lane(catalogue, []() -> Status {
    return make_error(ErrorCode::unavailable, "cannot sync: Input/output error");
  });
  Status status;
  EXPECT_TRUE(comes_true([&] { return !(status = lane.append(search_for("anna"))).ok(); }));
  EXPECT_EQ(status.error().code, ErrorCode::unavailable);
  EXPECT_NE(status.error().message.find("restart the machine"), std::string::npos);
}

TEST_F(AuditLaneTest, FailsOnABadNameWithoutHarmToOthers) {
  Catalogue catalogue = open();
  AuditLane lane(catalogue);
  EXPECT_EQ(lane.append(search_for("no name")).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(lane.append(search_for("anna")).ok());
}

TEST_F(AuditLaneTest, AFullDiskIsAnErrorUntilThereIsSpace) {
  ASSERT_TRUE(open().create_gallery(new_gallery()).ok());
  EXPECT_EQ(in_child_process([&]() -> std::string {
              signal(SIGXFSZ, SIG_IGN);
              Catalogue catalogue = open();
              AuditLane lane(catalogue);
              if (!lane.append(search_for("anna")).ok()) return "the first failed";
              struct rlimit limit {};
              getrlimit(RLIMIT_FSIZE, &limit);
              const rlim_t before = limit.rlim_cur;
              limit.rlim_cur = fs::file_size(path().string() + "-wal") + 1;
              setrlimit(RLIMIT_FSIZE, &limit);
              const Status full = lane.append(search_for("berta"));
              limit.rlim_cur = before;
              setrlimit(RLIMIT_FSIZE, &limit);
              if (full.ok()) return "a full disk was no error";
              if (full.error().code != ErrorCode::no_space) return full.error().message;
              const Status later = lane.append(search_for("carla"));
              if (!later.ok()) return later.error().message;
              if (subjects_on_record(catalogue).contains("berta")) return "berta is on record";
              return "";
            }),
            "");
}

// A thousand searches alone, without a change that would move the log into the database.
TEST_F(AuditLaneTest, TheLogDoesNotGrowForEver) {
  Catalogue catalogue = open();
  AuditLane lane(catalogue);
  for (int i = 0; i < 3000; ++i) ASSERT_TRUE(lane.append(search_for("anna")).ok());
  EXPECT_LT(fs::file_size(path().string() + "-wal"), uintmax_t{2500 * 4096});
  EXPECT_EQ(catalogue.verify_audit_chain()->sequence, 3000u);
}

TEST_F(AuditLaneTest, NothingAcknowledgedIsLostWhenTheProcessIsKilled) {
  ASSERT_TRUE(open().create_gallery(new_gallery()).ok());
  std::mt19937 random(14);
  std::set<std::string> acknowledged;
  for (int round = 0; round < 10; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    const pid_t child = fork();
    if (child == 0) {
      Catalogue catalogue = open();
      AuditLane lane(catalogue);
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < 8; ++thread)
        threads.emplace_back([&, thread] {
          for (int i = 0;; ++i) {
            const std::string name = fmt::format("{}-{}-{}", round, thread, i);
            if (!lane.append(search_for(name)).ok()) _exit(1);
            if (::write(ends[1], (name + "\n").data(), name.size() + 1) < 0) _exit(2);
          }
        });
      threads.clear();
    }
    close(ends[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(10000 + random() % 40000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "an append failed";
    std::string lines, piece(1 << 16, '\0');
    for (ssize_t count; (count = ::read(ends[0], piece.data(), piece.size())) > 0;)
      lines.append(piece, 0, static_cast<size_t>(count));
    close(ends[0]);
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) acknowledged.insert(line);
  }
  EXPECT_GT(acknowledged.size(), 50u);
  Catalogue catalogue = open();
  EXPECT_TRUE(catalogue.check().ok());
  const std::set<std::string> found = subjects_on_record(catalogue);
  for (const std::string& name : acknowledged) ASSERT_TRUE(found.contains(name)) << name;
}

}  // namespace
}  // namespace bauta::store
