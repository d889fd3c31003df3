// A gallery some of whose segments are damaged, or that has no room for another: what it answers,
// who is told, and how it comes back.

#include <sys/mount.h>

#include "store/test_support.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

// Ten people who were enrolled, and four who were imported.
class DamageTest : public SystemTest {
 protected:
  static constexpr unsigned kEnrolled = 10, kImported = 4, kFirstImported = 20;

  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    edge_ = parties_->make_edge();
    for (unsigned person = 0; person < kEnrolled; ++person)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
    compact();
    const Status imported =
        import_people(*parties_, *edge_, "gallery", kFirstImported, kFirstImported + kImported);
    ASSERT_TRUE(imported.ok()) << imported.error().message;
  }
  void TearDown() override {
    edge_.reset();
    SystemTest::TearDown();
  }

  void compact() {
    const auto compacted = parties_->auth->compact("gallery");
    ASSERT_TRUE(compacted.ok()) << compacted.error().message;
  }
  // Cuts the file of a block short while no server has it mapped.
  void damage(const std::string& block) {
    edge_.reset();
    parties_.reset();
    for (const auto& entry : fs::directory_iterator(directory_ / "auth/segments/1"))
      if (entry.path().filename().string().starts_with(block)) fs::resize_file(entry.path(), 5000);
    parties_ = std::make_unique<Parties>(directory_);
    edge_ = parties_->make_edge();
  }
  edge::Recognition identify(unsigned person, const std::string& gallery = "gallery") {
    const auto found = edge_->identify(gallery, make_embedding(person, 1));
    EXPECT_TRUE(found.ok()) << found.error().message;
    return found.ok() ? *found : edge::Recognition();
  }
  uint64_t damaged_segments() {
    v1::GetGalleryRequest request;
    request.set_gallery("gallery");
    return parties_->auth->get_gallery(request)->damaged_segments();
  }
  auth::Compaction repair(const fs::path& backup = {}) {
    const auto repaired = parties_->auth->repair("gallery", backup);
    EXPECT_TRUE(repaired.ok()) << repaired.error().message;
    return repaired.ok() ? *repaired : auth::Compaction();
  }
  void expect_everybody(const std::string& gallery = "gallery") {
    for (const unsigned person : {0u, kEnrolled - 1, kFirstImported, kFirstImported + 3}) {
      const edge::Recognition found = identify(person, gallery);
      EXPECT_EQ(found.subject, subject_name(person));
      EXPECT_EQ(found.not_compared, 0u);
    }
    EXPECT_EQ(identify(99, gallery).decision, v1::DECISION_REJECTED);
  }
  fs::path export_gallery() {
    const fs::path file = directory_ / "backup";
    const auto exported = parties_->auth->export_gallery("gallery", file, [](uint64_t) {});
    EXPECT_TRUE(exported.ok()) << exported.error().message;
    return file;
  }

  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(DamageTest, ASearchThatAcceptsSaysWhatItLeftOut) {
  EXPECT_EQ(damaged_segments(), 0u);
  damage("0000");
  const edge::Recognition found = identify(kFirstImported);
  EXPECT_EQ(found.subject, subject_name(kFirstImported));
  EXPECT_EQ(found.not_compared, kEnrolled);
  EXPECT_EQ(parties_->auth->not_compared(), kEnrolled);
  EXPECT_EQ(damaged_segments(), 1u);
  // Nobody found is no answer.
  for (const unsigned person : {0u, 99u}) {
    const auto none = edge_->identify("gallery", make_embedding(person, 1));
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().code, ErrorCode::unavailable);
    EXPECT_NE(none.error().message.find("bauta gallery repair gallery"), std::string::npos);
  }
  EXPECT_EQ(repair().written, 1u);
  expect_everybody();
  EXPECT_EQ(damaged_segments(), 0u);
  EXPECT_EQ(parties_->auth->not_compared(), 0u);
}

TEST_F(DamageTest, AnImportedBlockComesBackFromABackupOnly) {
  const fs::path backup = export_gallery();
  damage("0001");
  EXPECT_EQ(identify(3).not_compared, kImported);
  EXPECT_EQ(repair().lost.size(), 1u);
  EXPECT_EQ(identify(3).not_compared, kImported);
  const auto exported =
      parties_->auth->export_gallery("gallery", directory_ / "second", [](uint64_t) {});
  EXPECT_FALSE(exported.ok());
  const auth::Compaction repaired = repair(backup);
  EXPECT_EQ(repaired.recovered, 1u);
  EXPECT_TRUE(repaired.lost.empty());
  expect_everybody();
}

TEST_F(DamageTest, ABackupIsRestoredWholeOrNotAtAll) {
  const fs::path backup = export_gallery();
  const auto restore = [&](const fs::path& file) {
    return parties_->auth->restore_gallery("copy", file, [](uint64_t) {});
  };
  const fs::path cut_off = directory_ / "cut-off";
  for (const uint64_t missing : {uint64_t{1}, uint64_t{100'000}, fs::file_size(backup) / 2}) {
    fs::copy_file(backup, cut_off, fs::copy_options::overwrite_existing);
    fs::resize_file(cut_off, fs::file_size(backup) - missing);
    EXPECT_EQ(restore(cut_off).error().code, ErrorCode::corrupt);
    v1::GetGalleryRequest request;
    request.set_gallery("copy");
    EXPECT_EQ(parties_->auth->get_gallery(request).error().code, ErrorCode::not_found);
  }
  const auto restored = restore(backup);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  EXPECT_EQ(restored->references(), kEnrolled + kImported);
  // As the command does: the gallery is there, and now its contract is too.
  EXPECT_EQ(parties_->make_edge()->create_gallery("copy").error().code, ErrorCode::already_exists);
  expect_everybody("copy");
  EXPECT_EQ(restore(backup).error().code, ErrorCode::already_exists);
}

// Segments on a disk of their own that is full: in a child process, whose mounts are its own.
TEST_F(DamageTest, AFullDiskStopsCompactionAndRenewalAndNothingElse) {
  edge_.reset();
  parties_.reset();
  const std::string segments = (directory_ / "auth/segments").string();
  const std::string finding = store::in_child_process([&]() -> std::string {
    const fs::path kept = directory_ / "kept";
    fs::copy(segments, kept, fs::copy_options::recursive);
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", segments.c_str(), "tmpfs", 0, "size=64m") != 0)
      return "skip";
    fs::copy(kept, segments, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    Parties parties(
        directory_);  // which removes what is not a gallery's, so the ballast comes after
    auto edge = parties.make_edge();
    const fs::path ballast = segments + "/ballast";
    for (size_t size = 64 << 20; size >= 4096; size /= 2)
      while (write_file_atomically(ballast.string() + std::to_string(fs::space(segments).free),
                                   Bytes(size))
                 .ok()) {
      }
    const auto wrong = [&](unsigned person) {
      const auto found = edge->identify("gallery", make_embedding(person, 1));
      return !found.ok() || found->subject != subject_name(person);
    };
    if (const auto enrolled = enroll(*edge, "gallery", 12); !enrolled.ok())
      return enrolled.error().message;
    if (const auto full = parties.auth->compact("gallery");
        full.ok() || full.error().code != ErrorCode::no_space)
      return "compaction: " + (full.ok() ? "done" : full.error().message);
    const std::string key = parties.rotate();
    if (const auto full = parties.auth->renew("gallery", key);
        full.ok() || full.error().code != ErrorCode::no_space)
      return "renewal: " + (full.ok() ? "done" : full.error().message);
    if (wrong(0) || wrong(12) || wrong(kFirstImported)) return "not found while the disk is full";
    for (const auto& entry : fs::directory_iterator(segments))
      if (entry.path().filename().string().starts_with("ballast")) fs::remove(entry.path());
    if (const auto done = parties.auth->compact("gallery"); !done.ok()) return done.error().message;
    if (const auto done = parties.auth->renew("gallery", key); !done.ok())
      return done.error().message;
    edge = parties.make_edge();
    return wrong(0) || wrong(12) || wrong(kFirstImported) ? "not found with room again" : "";
  });
  if (finding == "skip") GTEST_SKIP() << "needs the right to mount a small file system";
  EXPECT_EQ(finding, "");
}

}  // namespace
}  // namespace bauta
