// What docs/formats/catalogue.md says about the file, computed here without the library's own code.
#include "store/schema.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

class Columns {
 public:
  Columns& text(std::string_view value) { return number(value.size(), 4).raw(as_bytes(value)); }
  Columns& raw(ByteView value) {
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    return *this;
  }
  Columns& number(uint64_t value, int size_bytes) {
    for (int i = 0; i < size_bytes; ++i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }
  Digest digest() const { return sha256(bytes_); }

 private:
  Bytes bytes_;
};

Digest chained(const Digest& previous, const AuditRecord& record) {
  return Columns()
      .text("audit")
      .raw(previous)
      .number(record.sequence, 8)
      .number(static_cast<uint64_t>(record.time_ms), 8)
      .number(static_cast<uint64_t>(record.entry.event), 1)
      .number(static_cast<uint64_t>(record.entry.outcome), 1)
      .text(record.entry.gallery)
      .text(record.entry.subject)
      .digest();
}

class FormatTest : public CatalogueTest {
 protected:
  void SetUp() override {
    Catalogue catalogue = open();
    gallery_ = *catalogue.create_gallery(new_gallery());
    reference_ = catalogue.enrol(gallery_, "anna", std::vector<Bytes>{original_bytes(1)})->front();
    ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", original_bytes(2)).ok());
  }

  std::string digest_in(std::string_view sql) {
    Connection connection = *Connection::open(path(), 100);
    Statement row = *connection.prepare(sql);
    EXPECT_TRUE(*row.step());
    return to_hex(row.bytes(0));
  }

  Gallery gallery_;
  Reference reference_;
};

TEST_F(FormatTest, TheFileSaysWhatItIs) {
  Connection connection = *Connection::open(path(), 100);
  EXPECT_EQ(*connection.query_integer("PRAGMA application_id"), 0x62617574);
  EXPECT_EQ(*connection.query_integer("PRAGMA user_version"), 3);
  EXPECT_EQ(*connection.query_integer("PRAGMA page_size"), 4096);
  EXPECT_EQ(*connection.query_integer("SELECT length(padding) FROM payload WHERE id = 1"), 4096);
}

TEST_F(FormatTest, RowsCarryTheDigestsDescribed) {
  const auto created_at = static_cast<uint64_t>(gallery_.created_at_ms);
  EXPECT_EQ(digest_in("SELECT digest FROM gallery"), to_hex(Columns()
                                                                .text("gallery")
                                                                .text("doors")
                                                                .text("key-1")
                                                                .text("an embedding contract")
                                                                .number(128, 4)
                                                                .number(created_at, 8)
                                                                .digest()));
  const Digest original = sha256(original_bytes(1));
  EXPECT_EQ(digest_in("SELECT original_digest FROM reference"), to_hex(original));
  EXPECT_EQ(digest_in("SELECT digest FROM reference"),
            to_hex(Columns()
                       .text("reference")
                       .number(static_cast<uint64_t>(gallery_.id), 8)
                       .text("anna")
                       .number(reference_.position, 4)
                       .number(static_cast<uint64_t>(reference_.created_at_ms), 8)
                       .text(as_text(original))
                       .digest()));
  const auto edge = open().find_edge("key-1", "camera-1");
  EXPECT_EQ(digest_in("SELECT digest FROM edge"),
            to_hex(Columns()
                       .text("edge")
                       .text("key-1")
                       .text("camera-1")
                       .number(static_cast<uint64_t>(edge->created_at_ms), 8)
                       .text(as_text(sha256(original_bytes(2))))
                       .digest()));
}

TEST_F(FormatTest, TheAuditLogIsChainedAsDescribed) {
  const AuditRecord vector{
      1, 0, {AuditEvent::identification, AuditOutcome::rejected, "doors", ""}, {}};
  EXPECT_EQ(to_hex(chained({}, vector)),
            "e3b0336b038e9bf30982c4b8d4cb226cc6d7d57ca58e91438d227de500c4b0d3");
  Digest previous{};
  const auto records = open().read_audit(0, 100);
  ASSERT_EQ(records->size(), 3u);
  for (const AuditRecord& record : *records) {
    EXPECT_EQ(to_hex(record.digest), to_hex(chained(previous, record)));
    previous = record.digest;
  }
}

}  // namespace
}  // namespace bauta::store
