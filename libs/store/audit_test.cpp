#include "store/test_support.h"

namespace bauta::store {
namespace {

using AuditTest = CatalogueTest;

TEST_F(AuditTest, EveryChangeIsRecordedWithTheChange) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", std::vector<Bytes>{original_bytes(1)}).ok());
  ASSERT_TRUE(catalogue.erase_subject(gallery, "anna").ok());
  ASSERT_TRUE(catalogue.delete_gallery("doors").ok());
  ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", original_bytes(2)).ok());
  ASSERT_TRUE(catalogue.revoke_edge("camera-1").ok());
  ASSERT_TRUE(
      catalogue.append_audit({AuditEvent::identification, AuditOutcome::rejected, "doors", ""})
          .ok());

  std::vector<std::string> log;
  const auto records = catalogue.read_audit(0, 100);
  for (const AuditRecord& record : *records)
    log.push_back(fmt::format(
        "{} {} {} [{}] [{}]", record.sequence, audit_event_name(record.entry.event),
        audit_outcome_name(record.entry.outcome), record.entry.gallery, record.entry.subject));
  EXPECT_EQ(log,
            (std::vector<std::string>{
                "1 gallery_created accepted [doors] []", "2 enrolment accepted [doors] [anna]",
                "3 erasure accepted [doors] [anna]", "4 gallery_deleted accepted [doors] []",
                "5 edge_added accepted [key-1] [camera-1]", "6 edge_revoked accepted [] [camera-1]",
                "7 identification rejected [doors] []"}));
  const AuditHead head = *catalogue.verify_audit_chain();
  EXPECT_EQ(head.sequence, 7u);
  EXPECT_EQ(head.digest, records->back().digest);
}

TEST_F(AuditTest, AnEmptyLogVerifies) {
  const auto head = open().verify_audit_chain();
  ASSERT_TRUE(head.ok()) << head.error().message;
  EXPECT_EQ(head->sequence, 0u);
  EXPECT_EQ(head->digest, Digest{});
}

TEST_F(AuditTest, RecordsAreReadInPieces) {
  Catalogue catalogue = open();
  const AuditEntry entry{AuditEvent::verification, AuditOutcome::accepted, "doors", "anna"};
  for (uint64_t i = 1; i <= 10; ++i) EXPECT_EQ(catalogue.append_audit(entry)->sequence, i);
  EXPECT_EQ(catalogue.read_audit(0, 4)->size(), 4u);
  EXPECT_EQ(catalogue.read_audit(4, 4)->front().sequence, 5u);
  EXPECT_EQ(catalogue.read_audit(8, 4)->size(), 2u);
  EXPECT_TRUE(catalogue.read_audit(10, 4)->empty());
}

TEST_F(AuditTest, FailsIfANameOrACountIsOutsideTheLimits) {
  Catalogue catalogue = open();
  EXPECT_EQ(catalogue.append_audit({AuditEvent::verification, AuditOutcome::failed, "a b", ""})
                .error()
                .code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.append_audit({AuditEvent::verification, AuditOutcome::failed, "", "\n"})
                .error()
                .code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.read_audit(0, 0).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.read_audit(0, kMaxAuditRecordsPerRead + 1).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.read_audit(UINT64_MAX, 1).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.audit_head()->sequence, 0u);
}

}  // namespace
}  // namespace bauta::store
