// Damaged files: what is read is what was written, or an error says that it is not.
#include <algorithm>
#include <fstream>
#include <map>

#include "base/file.h"
#include "store/schema.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

struct Expected {
  std::map<std::string, std::map<uint32_t, std::pair<std::string, Bytes>>> galleries;
  Bytes switching_key = original_bytes(100, 9000);
  std::vector<AuditRecord> audit;
};

bool operator_equal(const AuditRecord& a, const AuditRecord& b) {
  return a.sequence == b.sequence && a.time_ms == b.time_ms && a.entry.event == b.entry.event &&
         a.entry.outcome == b.entry.outcome && a.entry.gallery == b.entry.gallery &&
         a.entry.subject == b.entry.subject && a.digest == b.digest;
}

class DamageTest : public CatalogueTest {
 protected:
  DamageTest() : CatalogueTest(memory_directory()) {}

  void SetUp() override {
    {
      Catalogue catalogue = open();
      for (const char* name : {"doors", "park"}) {
        const Gallery gallery = *catalogue.create_gallery(new_gallery(name));
        for (uint64_t i = 0; i < 4; ++i) {
          const std::string subject = fmt::format("{}-s{}", name, i);
          const Bytes original = original_bytes(i, 300 + 1500 * i);
          const auto references = *catalogue.enrol(gallery, subject, std::vector<Bytes>{original});
          expected_.galleries[name][references[0].position] = {subject, original};
        }
        ASSERT_TRUE(catalogue.erase_subject(gallery, fmt::format("{}-s1", name)).ok());
        expected_.galleries[name].erase(1);
      }
      ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", expected_.switching_key).ok());
      expected_.audit = *catalogue.read_audit(0, 1000);
    }
    intact_ = *read_file(path(), size_t{1} << 24);
  }

  // Writes the file without syncing it, and removes what an earlier state left beside it.
  void write_damaged(const Bytes& content) {
    for (const char* suffix : {"-wal", "-shm"}) std::filesystem::remove(path().string() + suffix);
    std::ofstream file(path(), std::ios::binary);
    file << as_text(content);
    ASSERT_TRUE(file.good());
  }

  using Positions = std::map<uint32_t, std::pair<std::string, Bytes>>;

  // Streams a gallery; what comes must be the expected. Returns whether nothing was missing.
  bool streams_completely(Catalogue& catalogue, const Gallery& gallery, const Positions& expected) {
    size_t seen = 0;
    const auto streamed = catalogue.for_each_reference(gallery, 0, [&](const ReferenceView& view) {
      ++seen;
      const auto found = expected.find(view.position);
      EXPECT_TRUE(view.live && found != expected.end());
      if (found == expected.end()) return Status{};
      EXPECT_EQ(view.subject, found->second.first);
      EXPECT_TRUE(std::ranges::equal(view.original, found->second.second));
      return Status{};
    });
    return streamed.ok() && seen == expected.size();
  }

  bool finds_all_subjects(Catalogue& catalogue, const Gallery& gallery, const Positions& expected) {
    bool complete = true;
    for (const auto& [position, reference] : expected) {
      const auto subject = catalogue.find_subject(gallery, reference.first);
      complete = complete && subject.ok();
      if (!subject.ok()) continue;
      EXPECT_EQ(subject->references.size(), 1u);
      EXPECT_EQ(subject->references[0].position, position);
      const auto original = catalogue.read_original(gallery, subject->references[0].id);
      complete = complete && original.ok();
      EXPECT_TRUE(!original.ok() || *original == reference.second);
    }
    return complete;
  }

  // Reads all there is; every value must be the expected one. Returns whether nothing was missing.
  bool reads_complete(Catalogue& catalogue) {
    bool complete = true;
    for (const auto& [name, expected] : expected_.galleries) {
      const auto gallery = catalogue.find_gallery(name);
      complete = complete && gallery.ok();
      if (!gallery.ok()) continue;
      EXPECT_EQ(gallery->contract, new_gallery().contract);
      EXPECT_EQ(gallery->key_id, new_gallery().key_id);
      EXPECT_EQ(gallery->dimension, new_gallery().dimension);
      complete = streams_completely(catalogue, *gallery, expected) && complete;
      complete = finds_all_subjects(catalogue, *gallery, expected) && complete;
    }
    const auto edge = catalogue.find_edge("key-1", "camera-1");
    EXPECT_TRUE(!edge.ok() || edge->switching_key == expected_.switching_key);
    return complete && edge.ok();
  }

  // The log as it was, or an error.
  bool audit_is_intact_or_refused(Catalogue& catalogue) {
    const auto head = catalogue.verify_audit_chain();
    if (!head.ok()) return true;
    const auto records = catalogue.read_audit(0, 1000);
    return records.ok() && std::ranges::equal(*records, expected_.audit, operator_equal);
  }

  Expected expected_;
  Bytes intact_;
};

TEST_F(DamageTest, TheIntactFileReadsCompletely) {
  Catalogue catalogue = open();
  EXPECT_TRUE(reads_complete(catalogue));
  EXPECT_TRUE(audit_is_intact_or_refused(catalogue));
  EXPECT_TRUE(catalogue.check().ok());
}

TEST_F(DamageTest, ATruncatedFileIsCorruptAndNamed) {
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{99}, size_t{100}, size_t{4095}, size_t{4096}, size_t{8192},
        intact_.size() / 2, intact_.size() - 4096}) {
    write_damaged(Bytes(intact_.begin(), intact_.begin() + static_cast<ptrdiff_t>(size)));
    const auto catalogue = Catalogue::open(path());
    ASSERT_FALSE(catalogue.ok()) << size;
    EXPECT_EQ(catalogue.error().code, ErrorCode::corrupt) << size;
    EXPECT_NE(catalogue.error().message.find(path().string()), std::string::npos);
    EXPECT_NE(catalogue.error().message.find("backup"), std::string::npos);
  }
}

TEST_F(DamageTest, ATruncatedLastPageIsNoticedIfAnythingStoodInIt) {
  for (size_t missing = 1; missing < 4096; missing += 65) {
    write_damaged(Bytes(intact_.begin(), intact_.end() - static_cast<ptrdiff_t>(missing)));
    auto catalogue = Catalogue::open(path());
    if (!catalogue.ok()) continue;
    const bool complete = reads_complete(*catalogue);
    EXPECT_TRUE(complete || catalogue->check().error().code == ErrorCode::corrupt) << missing;
  }
}

TEST_F(DamageTest, NoFlippedBitIsReadAsTruth) {
  std::mt19937_64 random(3);
  size_t noticed = 0;
  constexpr int kFlips = 1000;
  for (int i = 0; i < kFlips; ++i) {
    Bytes damaged = intact_;
    // Half of the flips in the first pages, where the schema stands.
    const size_t offset = random() % (i % 2 == 0 ? damaged.size() : size_t{3} * 4096);
    damaged[offset] = static_cast<uint8_t>(damaged[offset] ^ (1u << random() % 8));
    write_damaged(damaged);
    SCOPED_TRACE(fmt::format("offset {}", offset));
    auto catalogue = Catalogue::open(path());
    if (!catalogue.ok()) {
      EXPECT_TRUE(catalogue.error().code == ErrorCode::corrupt ||
                  catalogue.error().code == ErrorCode::mismatch ||
                  catalogue.error().code == ErrorCode::unavailable)
          << catalogue.error().message;
      ++noticed;
      continue;
    }
    const bool complete = reads_complete(*catalogue);
    EXPECT_TRUE(audit_is_intact_or_refused(*catalogue));
    const Status checked = catalogue->check();
    EXPECT_TRUE(complete || !checked.ok()) << "something is missing and check() does not notice";
    noticed += !checked.ok();
  }
  EXPECT_GT(noticed, size_t{50}) << "most flips hit bytes that mean nothing, but not so many";
}

TEST_F(DamageTest, AnyFlippedByteOfTheAuditLogIsFound) {
  const auto page_of = [&](std::string_view text) {
    const auto* found = static_cast<const uint8_t*>(
        memmem(intact_.data(), intact_.size(), text.data(), text.size()));
    return static_cast<size_t>(found - intact_.data()) / 4096 * 4096;
  };
  const size_t page =
      page_of("key-1camera-1" + std::string(as_text(expected_.audit.back().digest)));
  for (size_t offset = page; offset < page + 4096; ++offset) {
    Bytes damaged = intact_;
    damaged[offset] ^= 0x01;
    write_damaged(damaged);
    auto catalogue = Catalogue::open(path());
    EXPECT_TRUE(!catalogue.ok() || audit_is_intact_or_refused(*catalogue)) << offset;
  }
}

TEST_F(DamageTest, AChangedOrMissingAuditRecordIsNamed) {
  const auto verify_after = [&](const std::string& change) {
    write_damaged(intact_);
    auto connection = Connection::open(path(), 100);
    const Status changed = connection->run_script(
        "DROP TRIGGER audit_keeps_rows; DROP TRIGGER audit_keeps_columns;" + change);
    EXPECT_TRUE(changed.ok()) << changed.error().message;
    return open().verify_audit_chain();
  };
  ASSERT_TRUE(verify_after("").ok());
  for (const char* change :
       {"UPDATE audit SET time_ms = time_ms + 1 WHERE sequence = 3",
        "UPDATE audit SET event = 7 WHERE sequence = 3",
        "UPDATE audit SET event = event + 256 WHERE sequence = 3",
        "UPDATE audit SET outcome = 2 WHERE sequence = 3",
        "UPDATE audit SET outcome = outcome - 256 WHERE sequence = 3",
        "UPDATE audit SET gallery = 'park' WHERE sequence = 3",
        "UPDATE audit SET subject = 'x' || subject WHERE sequence = 3",
        "UPDATE audit SET gallery = gallery || subject, subject = '' WHERE sequence = 3",
        "UPDATE audit SET digest = zeroblob(32) WHERE sequence = 3",
        "UPDATE audit SET digest = zeroblob(31) WHERE sequence = 3",
        "UPDATE audit SET digest = (SELECT digest FROM audit WHERE sequence = 2) "
        "WHERE sequence = 3",
        "DELETE FROM audit WHERE sequence = 3"}) {
    const auto verified = verify_after(change);
    ASSERT_FALSE(verified.ok()) << change;
    EXPECT_EQ(verified.error().code, ErrorCode::corrupt);
    EXPECT_NE(verified.error().message.find("record 3 "), std::string::npos)
        << verified.error().message;
  }
  for (const char* change :
       {"DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)", "DELETE FROM audit",
        "DELETE FROM audit WHERE sequence = 1", "UPDATE sqlite_sequence SET seq = seq + 1"})
    EXPECT_EQ(verify_after(change).error().code, ErrorCode::corrupt) << change;
}

TEST_F(DamageTest, TheAuditLogRefusesChangesThroughSql) {
  Connection connection = *Connection::open(path(), 100);
  EXPECT_FALSE(connection.run("DELETE FROM audit WHERE sequence = 1").ok());
  EXPECT_FALSE(connection.run("UPDATE audit SET outcome = 2").ok());
}

TEST_F(DamageTest, NothingIsAppendedToABrokenAuditLog) {
  Connection connection = *Connection::open(path(), 100);
  ASSERT_TRUE(connection.run("UPDATE sqlite_sequence SET seq = 99 WHERE name = 'audit'").ok());
  EXPECT_EQ(open().create_gallery(new_gallery("till")).error().code, ErrorCode::corrupt);
  EXPECT_EQ(open().find_gallery("till").error().code, ErrorCode::not_found);
}

TEST_F(DamageTest, AReferenceMovedToAnotherSubjectOrPositionIsCorrupt) {
  for (const char* change :
       {"UPDATE reference SET subject = 'doors-s2' WHERE subject = 'doors-s0'",
        "UPDATE reference SET position = 9 WHERE subject = 'doors-s0'",
        "UPDATE reference SET position = position + 4294967296 WHERE subject = 'doors-s0'",
        "UPDATE reference SET gallery = 2, position = 9 WHERE subject = 'doors-s0'",
        "UPDATE reference SET payload = payload + 2 WHERE subject = 'doors-s0'",
        "UPDATE payload SET bytes = zeroblob(300) WHERE id = 1", "DELETE FROM payload"}) {
    write_damaged(intact_);
    ASSERT_TRUE(Connection::open(path(), 100)->run(change).ok()) << change;
    EXPECT_EQ(open().check().error().code, ErrorCode::corrupt) << change;
  }
}

TEST_F(DamageTest, AGalleryWithNoPositionLeftIsFull) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.find_gallery("doors");
  ASSERT_TRUE(Connection::open(path(), 100)
                  ->run("UPDATE reference SET position = 4194302 WHERE subject = 'doors-s3'")
                  .ok());
  const std::vector<Bytes> three(3, Bytes(10));
  EXPECT_EQ(catalogue.enrol(gallery, "anna", three).error().code, ErrorCode::no_space);
  EXPECT_EQ(catalogue.find_subject(gallery, "anna").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.enrol(gallery, "anna", std::vector<Bytes>(2, Bytes(10)))->back().position,
            kMaxPositions - 1);
}

}  // namespace
}  // namespace bauta::store
