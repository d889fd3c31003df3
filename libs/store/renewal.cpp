// Renewal: the second originals lie in a table of their own, `renewal`, which nobody reads but the
// renewal itself. The change-over swaps each with the original before. What then lies in the table
// is no longer needed and is removed as erased references are: the payloads, with secure_delete;
// the log, which still holds their pages; then the rows.
#include "store/state.h"

namespace bauta::store {
namespace {

constexpr int64_t kOriginalsPerBatch = 64;
constexpr int kMaxAttempts = 3;

Result<std::string> read_target(Connection& connection, const Gallery& gallery) {
  BAUTA_CHECK(check_key(connection, gallery));
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT coalesce(renewing_to, '') FROM gallery WHERE id = ?1",
                               {gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  BAUTA_ASSERT(found);
  return std::string(row.text(0));
}

Result<bool> has_rows(Connection& connection, const Gallery& gallery) {
  BAUTA_TRY(const int64_t rows,
            connection.query_integer("SELECT EXISTS (SELECT 1 FROM renewal WHERE gallery = ?1)",
                                     {gallery.id}));
  return rows != 0;
}

// One that was erased or renewed in the meantime is left out.
Status insert_renewed(Connection& connection, const Gallery& gallery, const Original& original) {
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT subject, created_at_ms, payload FROM reference r "
                               "WHERE id = ?1 AND gallery = ?2 AND position = ?3 AND state = 1 "
                               "AND bulk = 0 "
                               "AND NOT EXISTS (SELECT 1 FROM renewal w WHERE w.reference = r.id)",
                               {original.reference_id, gallery.id, int64_t{original.position}}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return {};
  const Reference reference{original.reference_id, original.position, row.integer(1)};
  const Digest digest = sha256(original.bytes);
  BAUTA_TRY(const int64_t payload, insert_payload(connection, original.bytes));
  return connection.run(
      "INSERT INTO renewal (reference, gallery, former, original_bytes, original_digest, digest, "
      "payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      {reference.id, gallery.id, row.integer(2), static_cast<int64_t>(original.bytes.size()),
       digest, reference_digest(gallery.id, row.text(0), reference, digest), payload});
}

Status swap_originals(Connection& connection, const Gallery& gallery) {
  BAUTA_CHECK(
      connection.run("UPDATE reference SET payload = w.payload, original_bytes = w.original_bytes, "
                     "original_digest = w.original_digest, digest = w.digest FROM renewal w "
                     "WHERE w.reference = reference.id AND w.gallery = ?1 AND reference.state = 1",
                     {gallery.id}));
  return connection.run(
      "UPDATE renewal SET payload = former WHERE gallery = ?1 AND payload NOTNULL", {gallery.id});
}

}  // namespace

Status delete_renewal_payload(Connection& connection, int64_t reference_id) {
  BAUTA_CHECK(connection.run(
      "DELETE FROM payload WHERE id = (SELECT payload FROM renewal WHERE reference = ?1)",
      {reference_id}));
  return connection.run("UPDATE renewal SET payload = NULL WHERE reference = ?1", {reference_id});
}

Status Catalogue::begin_renewal(const Gallery& gallery, std::string_view key_id) {
  BAUTA_CHECK(check_name("key", key_id));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    {
      std::lock_guard lock(state_->mutex);
      Connection& connection = state_->connection;
      BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
      BAUTA_TRY(const std::string target, read_target(connection, gallery));
      if (target == key_id) return {};
      BAUTA_TRY(const bool rows, has_rows(connection, gallery));
      const Value next = rows ? Value(nullptr) : Value(key_id);
      BAUTA_CHECK(
          connection.run("UPDATE gallery SET renewing_to = ?2 WHERE id = ?1", {gallery.id, next}));
      BAUTA_CHECK(transaction.commit());
      if (!rows) return {};
    }
    while (true) {
      BAUTA_TRY(const bool more, remove_former(gallery));
      if (!more) break;
    }
    BAUTA_CHECK(finish_erasures());
  }
  return make_error(ErrorCode::busy,
                    "what an earlier renewal of gallery {} left cannot be removed while another "
                    "process reads the catalogue; try again",
                    gallery.name);
}

Result<RenewalProgress> Catalogue::renewal_progress(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement row,
            state_->reading.prepare(
                "SELECT coalesce(renewing_to, ''), (SELECT count(*) FROM reference WHERE gallery = "
                "g.id AND bulk = 0 AND state = 1), (SELECT count(*) FROM renewal WHERE gallery = "
                "g.id) FROM gallery g WHERE id = ?1 AND name IS NOT NULL",
                {gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return gallery_gone(gallery);
  RenewalProgress progress{std::string(row.text(0)), static_cast<uint64_t>(row.integer(1)), 0};
  if (!progress.key_id.empty()) progress.renewed = static_cast<uint64_t>(row.integer(2));
  return progress;
}

Result<std::vector<Original>> Catalogue::originals_to_renew(const Gallery& gallery,
                                                            int64_t position) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(check_key(connection, gallery));
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT r.id, r.position, r.original_digest, p.bytes "
                               "FROM reference r JOIN payload p ON p.id = r.payload "
                               "WHERE r.gallery = ?1 AND r.position > ?2 AND r.bulk = 0 "
                               "AND r.state = 1 AND NOT EXISTS "
                               "(SELECT 1 FROM renewal w WHERE w.reference = r.id) "
                               "ORDER BY r.position LIMIT ?3",
                               {gallery.id, position, kOriginalsPerBatch}));
  std::vector<Original> originals;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return originals;
    const ByteView bytes = rows.bytes(3);
    if (!equals(rows.bytes(2), sha256(bytes)))
      return damaged(connection,
                     fmt::format("reference {} of gallery {}", rows.integer(0), gallery.name));
    originals.push_back({rows.integer(0), static_cast<uint32_t>(rows.integer(1)),
                         Bytes(bytes.begin(), bytes.end())});
  }
}

Status Catalogue::put_renewed(const Gallery& gallery, std::string_view key_id,
                              std::span<const Original> renewed) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const std::string target, read_target(connection, gallery));
  if (target != key_id)
    return make_error(ErrorCode::mismatch, "gallery {} is no longer being renewed to key {}",
                      gallery.name, key_id);
  for (const Original& original : renewed)
    BAUTA_CHECK(insert_renewed(connection, gallery, original));
  return transaction.commit();
}

Result<Bytes> Catalogue::read_renewed(const Gallery& gallery, int64_t reference_id) {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement row,
            state_->reading.prepare("SELECT w.original_digest, p.bytes FROM renewal w "
                                    "JOIN payload p ON p.id = w.payload "
                                    "JOIN gallery g ON g.id = w.gallery "
                                    "WHERE w.reference = ?1 AND w.gallery = ?2 "
                                    "AND g.renewing_to IS NOT NULL",
                                    {reference_id, gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found)
    return make_error(ErrorCode::not_found, "reference {} of gallery {} has no second original",
                      reference_id, gallery.name);
  if (!equals(row.bytes(0), sha256(row.bytes(1))))
    return damaged(state_->reading, fmt::format("the second original of reference {} of gallery "
                                                "{}",
                                                reference_id, gallery.name));
  return Bytes(row.bytes(1).begin(), row.bytes(1).end());
}

Result<bool> Catalogue::finish_renewal(const Gallery& gallery, uint64_t version, uint64_t compacted,
                                       std::span<const Segment> segments) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const std::string target, read_target(connection, gallery));
  BAUTA_TRY(const int64_t missing,
            connection.query_integer(
                "SELECT EXISTS (SELECT 1 FROM reference r WHERE gallery = ?1 AND bulk = 0 AND "
                "state = 1 AND NOT EXISTS (SELECT 1 FROM renewal w WHERE w.reference = r.id))",
                {gallery.id}));
  if (target.empty() || missing != 0) return false;
  BAUTA_CHECK(swap_originals(connection, gallery));
  Gallery renewed = gallery;
  renewed.key_id = target;
  BAUTA_CHECK(connection.run(
      "UPDATE gallery SET key_id = ?3, digest = ?4, renewing_to = NULL, compacted = ?5, "
      "segments_version = segments_version + 1 WHERE id = ?1 AND segments_version = ?2",
      {gallery.id, static_cast<int64_t>(version), target, gallery_digest(renewed),
       static_cast<int64_t>(compacted)}));
  if (connection.changed_rows() == 0)
    return make_error(ErrorCode::busy, "another process has changed the segments of gallery {}",
                      gallery.name);
  BAUTA_CHECK(connection.run("DELETE FROM segment WHERE gallery = ?1", {gallery.id}));
  for (const Segment& segment : segments) BAUTA_CHECK(put_segment(connection, gallery, segment));
  BAUTA_CHECK(append_audit_record(
      connection, {AuditEvent::gallery_renewed, AuditOutcome::accepted, gallery.name, target}));
  BAUTA_CHECK(transaction.commit());
  return true;
}

Result<bool> Catalogue::remove_former(const Gallery& gallery) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  std::vector<int64_t> ids;
  {
    BAUTA_TRY(Statement rows,
              connection.prepare("SELECT w.reference FROM renewal w JOIN gallery g ON g.id = "
                                 "w.gallery WHERE w.gallery = ?1 AND g.renewing_to IS NULL "
                                 "AND w.payload IS NOT NULL LIMIT ?2",
                                 {gallery.id, kOriginalsPerBatch}));
    while (true) {
      BAUTA_TRY(const bool row, rows.step());
      if (!row) break;
      ids.push_back(rows.integer(0));
    }
  }
  if (ids.empty()) return false;
  for (const int64_t id : ids) BAUTA_CHECK(delete_renewal_payload(connection, id));
  BAUTA_CHECK(transaction.commit());
  return true;
}

}  // namespace bauta::store
