#include "services/linkage/backups.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "services/storage/storage_server.h"

namespace bauta::linkage {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDay_ms = 86'400'000;

// An engine whose galleries hold the number of exports so far.
class FakeCollection final : public CollectionService {
 public:
  Result<v1::ReadLogReply> read_log(const v1::ReadLogRequest&) override {
    return v1::ReadLogReply();
  }
  Result<v1::GalleryBackup> export_gallery(const v1::ExportGalleryRequest& request) override {
    if (request.gallery() == failing)
      return make_error(ErrorCode::unavailable, "{} cannot be read", request.gallery());
    v1::GalleryBackup backup;
    backup.set_file(fmt::format("{} {}", request.gallery(), ++exports));
    return backup;
  }
  int exports = 0;
  std::string failing;
};

class BackupsTest : public testing::Test {
 protected:
  BackupsTest() {
    std::string pattern = (fs::temp_directory_path() / "bauta-backups-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    storage_ = storage::StorageServer::open(directory_).value();
  }
  ~BackupsTest() override { fs::remove_all(directory_); }

  std::unique_ptr<Backups> open(BackupSchedule schedule) {
    const auto galleries = [this]() -> Result<std::vector<std::string>> {
      if (!answers_) return make_error(ErrorCode::unavailable, "the engine does not answer");
      return galleries_;
    };
    return std::make_unique<Backups>("engine", galleries, collection_, *storage_, schedule);
  }
  static int count(Backups& backups, const std::string& gallery = "door") {
    return backups.list(gallery)->backups_size();
  }
  static std::string newest(Backups& backups, const std::string& gallery = "door") {
    return backups.read(gallery, backups.list(gallery)->backups(0).id())->file();
  }
  size_t files() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory_ / "backups"), fs::directory_iterator()));
  }

  fs::path directory_;
  std::unique_ptr<storage::StorageServer> storage_;
  FakeCollection collection_;
  std::vector<std::string> galleries_{"door"};
  bool answers_ = true;
};

TEST_F(BackupsTest, AreMadeWhenTheNewestIsTooOld) {
  const auto backups = open({kDay_ms, 7});
  const int64_t start = now_ms();
  backups->back_up_if_due(start);
  EXPECT_EQ(count(*backups), 1);
  for (const int64_t later : {int64_t{1}, int64_t{60'001}, kDay_ms / 2}) {
    backups->back_up_if_due(start + later);
    EXPECT_EQ(count(*backups), 1) << later;
  }
  backups->back_up_if_due(start + kDay_ms + 10'000);
  EXPECT_EQ(count(*backups), 2);
  // What an earlier process has stored counts.
  const auto restarted = open({kDay_ms, 7});
  restarted->back_up_if_due(start + 1);
  EXPECT_EQ(count(*restarted), 2);
  // Each gallery has its own.
  galleries_.push_back("gate");
  open({kDay_ms, 7})->back_up_if_due(start + 1);
  EXPECT_EQ(count(*restarted), 2);
  EXPECT_EQ(count(*restarted, "gate"), 1);
}

TEST_F(BackupsTest, NeverRunWithoutAnInterval) {
  const auto backups = open({0, 7});
  backups->back_up_if_due(now_ms() + 1000 * kDay_ms);
  EXPECT_EQ(count(*backups), 0);
  EXPECT_TRUE(backups->back_up().ok());
  EXPECT_EQ(count(*backups), 1);
}

TEST_F(BackupsTest, KeepTheNewest) {
  const auto backups = open({kDay_ms, 3});
  for (int i = 1; i <= 5; ++i) {
    ASSERT_TRUE(backups->back_up().ok());
    EXPECT_EQ(newest(*backups), fmt::format("door {}", i));
    EXPECT_EQ(count(*backups), std::min(i, 3));
    EXPECT_EQ(files(), static_cast<size_t>(std::min(i, 3)));
  }
}

TEST_F(BackupsTest, AreReplacedByOneWithoutWhoIsErased) {
  const auto backups = open({kDay_ms, 3});
  ASSERT_TRUE(backups->replace("door").ok());
  EXPECT_EQ(count(*backups), 0);  // there was none to replace
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(backups->back_up().ok());
  ASSERT_TRUE(backups->replace("door").ok());
  EXPECT_EQ(count(*backups), 1);
  EXPECT_EQ(newest(*backups), "door 4");
  EXPECT_EQ(files(), 1u);
}

TEST_F(BackupsTest, FailuresAreToldAndOvercome) {
  const auto backups = open({kDay_ms, 3});
  const int64_t start = now_ms();
  answers_ = false;
  backups->back_up_if_due(start);
  EXPECT_EQ(backups->state().error, "the engine does not answer");
  EXPECT_EQ(backups->state().failed_ms, start);
  answers_ = true;
  backups->back_up_if_due(start + 59'999);  // not looked yet
  EXPECT_EQ(count(*backups), 0);
  backups->back_up_if_due(start + 60'000);
  EXPECT_EQ(count(*backups), 1);
  EXPECT_EQ(backups->state().error, "");
  EXPECT_EQ(backups->state().failed_ms, start);
  // One gallery that fails does not keep the others from it.
  galleries_ = {"broken", "gate"};
  collection_.failing = "broken";
  backups->back_up_if_due(start + 120'000);
  EXPECT_EQ(backups->state().error, "broken cannot be read");
  EXPECT_EQ(count(*backups, "gate"), 1);
  EXPECT_FALSE(backups->back_up().ok());
}

}  // namespace
}  // namespace bauta::linkage
