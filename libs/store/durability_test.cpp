// What is acknowledged survives: killed processes, lost power, full disks, other processes.
#include <csignal>
#include <map>
#include <set>
#include <thread>

#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "base/file.h"
#include "store/schema.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

namespace fs = std::filesystem;
using DurabilityTest = CatalogueTest;

std::vector<Bytes> originals_of(uint64_t subject) {
  std::vector<Bytes> originals;
  for (uint64_t i = 0; i <= subject % 3; ++i)
    originals.push_back(original_bytes(subject * 4 + i, kRealOriginalBytes));
  return originals;
}

// Compares the references of subject s<number> with what was enrolled.
std::string subject_differs(Catalogue& catalogue, const Gallery& gallery, uint64_t number) {
  const auto subject = catalogue.find_subject(gallery, fmt::format("s{}", number));
  if (!subject.ok()) return subject.error().message;
  const std::vector<Bytes> expected = originals_of(number);
  if (subject->references.size() != expected.size())
    return fmt::format("s{} has {} references", number, subject->references.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto original = catalogue.read_original(gallery, subject->references[i].id);
    if (!original.ok()) return original.error().message;
    if (*original != expected[i]) return fmt::format("s{} has other bytes", number);
  }
  return "";
}

// One line per acknowledged change: +N after the enrolment of subject N, -N after its erasure, and
// *N before its erasure is begun.
struct Acknowledged {
  std::set<uint64_t> enrolled, erased, erasing;
  uint64_t next = 0;

  void take(const std::string& lines) {
    size_t begin = 0;
    for (size_t end; (end = lines.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const uint64_t number = std::stoull(lines.substr(begin + 1));
      if (lines[begin] == '+') enrolled.insert(number);
      if (lines[begin] == '-') erased.insert(number);
      if (lines[begin] == '*') erasing.insert(number);
      next = std::max(next, number + 1);
    }
  }
};

// Enrols subjects from `first` on, and erases every fifth one soon after, until it is killed.
[[noreturn]] void enrol_until_killed(const fs::path& path, uint64_t first, int acknowledgements) {
  auto catalogue = Catalogue::open(path);
  if (!catalogue.ok()) _exit(1);
  const auto gallery = catalogue->find_gallery("doors");
  if (!gallery.ok()) _exit(2);
  const auto say = [&](char what, uint64_t number) {
    const std::string line = fmt::format("{}{}\n", what, number);
    if (write(acknowledgements, line.data(), line.size()) < 0) _exit(3);
  };
  for (uint64_t number = first;; ++number) {
    if (!catalogue->enrol(*gallery, fmt::format("s{}", number), originals_of(number)).ok())
      _exit(4);
    say('+', number);
    if (number % 5 != 4 || number - 2 < first) continue;
    say('*', number - 2);
    if (!catalogue->erase_subject(*gallery, fmt::format("s{}", number - 2)).ok()) _exit(5);
    say('-', number - 2);
  }
}

// Runs enrol_until_killed in a child, kills it some milliseconds after its first acknowledgement
// and returns what it said.
std::string run_and_kill(const std::function<void(int)>& body, int delay_ms) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    body(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  char piece[4096];
  std::string said;
  ssize_t count = read(ends[0], piece, sizeof piece);
  if (count > 0) said.append(piece, static_cast<size_t>(count));
  std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
  kill(child, SIGKILL);
  while ((count = read(ends[0], piece, sizeof piece)) > 0)
    said.append(piece, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);
  return said;
}

void expect_all_kept(const fs::path& path, const Acknowledged& acknowledged) {
  auto catalogue = Catalogue::open(path);
  ASSERT_TRUE(catalogue.ok()) << catalogue.error().message;
  const auto gallery = catalogue->find_gallery("doors");
  ASSERT_TRUE(gallery.ok()) << gallery.error().message;
  for (const uint64_t number : acknowledged.enrolled) {
    if (acknowledged.erased.contains(number)) {
      EXPECT_EQ(catalogue->find_subject(*gallery, fmt::format("s{}", number)).error().code,
                ErrorCode::not_found);
    } else if (!acknowledged.erasing.contains(number)) {
      EXPECT_EQ(subject_differs(*catalogue, *gallery, number), "");
    }
  }
  const Status checked = catalogue->check();
  EXPECT_TRUE(checked.ok()) << checked.error().message;
}

TEST_F(DurabilityTest, EveryAcknowledgedChangeSurvivesKillMinus9) {
  ASSERT_TRUE(open().create_gallery(new_gallery()).ok());
  std::mt19937 random(1);
  Acknowledged acknowledged;
  for (int round = 0; round < 25; ++round) {
    const uint64_t first = acknowledged.next + 10;  // past the one that was cut off
    acknowledged.take(run_and_kill([&](int out) { enrol_until_killed(path(), first, out); },
                                   static_cast<int>(random() % 60)));
    expect_all_kept(path(), acknowledged);
  }
  EXPECT_GE(acknowledged.enrolled.size(), 25u);
}

// A disk that, when the power fails, has forgotten whatever was not synced: each sync copies the
// file to a second directory, and that is what is found afterwards. Replaces one function of
// SQLite's own file system in this process.
class ForgetfulDisk {
 public:
  static void install(const fs::path& synced) {
    synced_ = synced;
    real_ = sqlite3_vfs_find(nullptr);
    static sqlite3_vfs forgetful = *real_;
    forgetful.zName = "forgetful";
    forgetful.xOpen = open;
    sqlite3_vfs_register(&forgetful, 1);
  }

 private:
  static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
    const int code = real_->xOpen(real_, name, file, flags, out_flags);
    if (code != SQLITE_OK || name == nullptr) return code;
    auto& methods = methods_.try_emplace(file->pMethods, *file->pMethods).first->second;
    real_sync_ = file->pMethods->xSync;
    methods.xSync = sync;
    file->pMethods = &methods;
    names_[file] = name;
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* file, int flags) {
    const fs::path name = names_.at(file);
    const int code = real_sync_(file, flags);
    if (code != SQLITE_OK) return code;
    const auto content = read_file(name, size_t{1} << 30);
    if (!content.ok()) return SQLITE_IOERR_FSYNC;
    return write_file_atomically(synced_ / name.filename(), *content).ok() ? SQLITE_OK
                                                                           : SQLITE_IOERR_FSYNC;
  }

  static inline fs::path synced_;
  static inline sqlite3_vfs* real_ = nullptr;
  static inline int (*real_sync_)(sqlite3_file*, int) = nullptr;
  static inline std::map<const sqlite3_io_methods*, sqlite3_io_methods> methods_;
  static inline std::map<sqlite3_file*, std::string> names_;
};

TEST(PowerLossTest, EveryAcknowledgedChangeSurvivesADiskThatKeepsOnlyWhatWasSynced) {
  const TemporaryDirectory directory(memory_directory());
  const auto disk = [&](int round) { return directory.path() / fmt::format("{}", round); };
  fs::create_directory(disk(0));
  ASSERT_TRUE(Catalogue::open(disk(0) / "catalogue.db")->create_gallery(new_gallery()).ok());
  std::mt19937 random(2);
  Acknowledged acknowledged;
  for (int round = 0; round < 10; ++round) {
    fs::copy(disk(round), disk(round + 1));
    const uint64_t first = acknowledged.next + 10;
    acknowledged.take(run_and_kill(
        [&](int out) {
          ForgetfulDisk::install(disk(round + 1));
          enrol_until_killed(disk(round) / "catalogue.db", first, out);
        },
        static_cast<int>(random() % 100)));
    expect_all_kept(disk(round + 1) / "catalogue.db", acknowledged);
  }
  EXPECT_GE(acknowledged.enrolled.size(), 10u);
}

// Enrols until the first error and returns it, with the number of subjects acknowledged.
Error enrol_until_error(Catalogue& catalogue, const Gallery& gallery, uint64_t& acknowledged) {
  while (acknowledged < 10000) {
    auto enrolled =
        catalogue.enrol(gallery, fmt::format("s{}", acknowledged), originals_of(acknowledged));
    if (!enrolled.ok()) return enrolled.error();
    ++acknowledged;
  }
  return {ErrorCode::internal, "the disk never filled"};
}

std::string subjects_differ(Catalogue& catalogue, const Gallery& gallery, uint64_t count) {
  const auto subjects = catalogue.list_subjects(gallery);
  if (!subjects.ok()) return subjects.error().message;
  if (subjects->size() != count)
    return fmt::format("{} subjects, {} acknowledged", subjects->size(), count);
  for (uint64_t number = 0; number < count; ++number)
    if (auto difference = subject_differs(catalogue, gallery, number); !difference.empty())
      return difference;
  const Status checked = catalogue.check();
  return checked.ok() ? "" : checked.error().message;
}

// Fills whatever limits the disk, expects a clear refusal and nothing lost or halved, frees space
// and goes on. Returns what is wrong.
std::string fill_disk(const fs::path& path, const std::function<void()>& free_space) {
  auto catalogue = Catalogue::open(path);
  if (!catalogue.ok()) return catalogue.error().message;
  const auto gallery = catalogue->create_gallery(new_gallery());
  if (!gallery.ok()) return gallery.error().message;
  uint64_t acknowledged = 0;
  const Error error = enrol_until_error(*catalogue, *gallery, acknowledged);
  if (error.code != ErrorCode::no_space || error.message.find("disk is full") == std::string::npos)
    return "not no_space: " + error.message;
  if (acknowledged == 0) return "nothing fitted";
  if (auto difference = subjects_differ(*catalogue, *gallery, acknowledged); !difference.empty())
    return "while full: " + difference;
  free_space();
  if (auto difference = subjects_differ(*catalogue, *gallery, acknowledged); !difference.empty())
    return "after freeing: " + difference;
  const auto again =
      catalogue->enrol(*gallery, fmt::format("s{}", acknowledged), originals_of(acknowledged));
  if (!again.ok()) return "after freeing: " + again.error().message;
  auto reopened = Catalogue::open(path);
  if (!reopened.ok()) return reopened.error().message;
  return subjects_differ(*reopened, *gallery, acknowledged + 1);
}

TEST_F(DurabilityTest, AFullDiskIsRefusedAndNothingIsHalfWritten) {
  const std::string finding = in_child_process([&]() -> std::string {
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, "size=4m") != 0)
      return "skip";
    const fs::path ballast = directory_.path() / "ballast";
    if (!write_file_atomically(ballast, Bytes(size_t{1} << 20)).ok()) return "no ballast";
    return fill_disk(path(), [&] { fs::remove(ballast); });
  });
  if (finding == "skip") GTEST_SKIP() << "needs the right to mount a small file system";
  EXPECT_EQ(finding, "");
}

TEST_F(DurabilityTest, AFileSizeLimitIsRefusedAndNothingIsHalfWritten) {
  const auto limit = [](rlim_t size_bytes) {
    struct rlimit limits {};
    getrlimit(RLIMIT_FSIZE, &limits);
    limits.rlim_cur = size_bytes;
    setrlimit(RLIMIT_FSIZE, &limits);
  };
  EXPECT_EQ(in_child_process([&]() -> std::string {
              signal(SIGXFSZ, SIG_IGN);
              limit(2 << 20);
              return fill_disk(path(), [&] { limit(8 << 20); });
            }),
            "");
}

TEST_F(DurabilityTest, CreationOnAFullDiskFailsAndLeavesNothing) {
  EXPECT_EQ(in_child_process([&]() -> std::string {
              signal(SIGXFSZ, SIG_IGN);
              const struct rlimit limits { 20000, 20000 };
              setrlimit(RLIMIT_FSIZE, &limits);
              const auto catalogue = Catalogue::open(path());
              if (catalogue.ok()) return "opened";
              if (catalogue.error().code != ErrorCode::no_space) return catalogue.error().message;
              return fs::is_empty(directory_.path()) ? "" : "files are left";
            }),
            "");
}

TEST_F(DurabilityTest, AReadOnlyDirectoryOrFileIsUnavailable) {
  ASSERT_TRUE(open().create_gallery(new_gallery()).ok());
  chmod(path().c_str(), 0444);
  chmod(directory_.path().c_str(), 0555);
  const std::string finding = in_child_process([&]() -> std::string {
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) return "cannot change user";
    for (const char* name : {"catalogue.db", "new.db"}) {
      const auto catalogue = Catalogue::open(directory_.path() / name);
      if (catalogue.ok()) return "opened";
      if (catalogue.error().code != ErrorCode::unavailable ||
          catalogue.error().message.find(name) == std::string::npos)
        return catalogue.error().message;
    }
    return "";
  });
  chmod(directory_.path().c_str(), 0755);
  EXPECT_EQ(finding, "");
}

TEST_F(DurabilityTest, AWriterThatHoldsOnTooLongMakesOthersBusyButNotTheirReading) {
  Catalogue catalogue = open({.busy_timeout_ms = 100});
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  ASSERT_TRUE(catalogue.enrol(gallery, "s0", originals_of(0)).ok());
  Connection writer = *Connection::open(path(), 100);
  ASSERT_TRUE(writer.run("BEGIN IMMEDIATE").ok());

  const auto enrolled = catalogue.enrol(gallery, "s1", originals_of(1));
  ASSERT_FALSE(enrolled.ok());
  EXPECT_EQ(enrolled.error().code, ErrorCode::busy);
  EXPECT_NE(enrolled.error().message.find(path().string()), std::string::npos);
  EXPECT_EQ(catalogue.erase_subject(gallery, "s0").error().code, ErrorCode::busy);
  EXPECT_EQ(subject_differs(catalogue, gallery, 0), "");
  EXPECT_TRUE(Catalogue::open(path(), {.busy_timeout_ms = 100}).ok());

  ASSERT_TRUE(writer.run("ROLLBACK").ok());
  EXPECT_TRUE(catalogue.enrol(gallery, "s1", originals_of(1)).ok());
}

TEST_F(DurabilityTest, TwoProcessesEnrolAtOnceAndEachPositionIsTakenOnce) {
  constexpr uint64_t kEach = 100;
  const Gallery gallery = *open().create_gallery(new_gallery());
  const auto enrol_from = [&](uint64_t first) -> std::string {
    auto catalogue = Catalogue::open(path());
    if (!catalogue.ok()) return catalogue.error().message;
    for (uint64_t number = first; number < first + kEach; ++number) {
      const auto done = catalogue->enrol(gallery, fmt::format("s{}", number), originals_of(number));
      if (!done.ok()) return done.error().message;
    }
    return "";
  };
  std::string first_finding;
  std::thread first([&] { first_finding = in_child_process([&] { return enrol_from(0); }); });
  EXPECT_EQ(in_child_process([&] { return enrol_from(kEach); }), "");
  first.join();
  EXPECT_EQ(first_finding, "");

  Catalogue catalogue = open();
  EXPECT_EQ(subjects_differ(catalogue, gallery, 2 * kEach), "");
  std::set<uint32_t> positions;
  ASSERT_TRUE(catalogue
                  .for_each_reference(gallery, 0,
                                      [&](const ReferenceView& view) {
                                        EXPECT_TRUE(positions.insert(view.position).second);
                                        return Status{};
                                      })
                  .ok());
  EXPECT_EQ(positions.size(), catalogue.stats(gallery)->references);
  EXPECT_EQ(*positions.rbegin() + 1, positions.size());
}

}  // namespace
}  // namespace bauta::store
