#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "store/state.h"

namespace bauta::store {
namespace {

Digest record_digest(const Digest& previous, const AuditRecord& record) {
  ByteWriter columns;
  columns.text("audit");
  columns.raw(previous);
  columns.u64(record.sequence);
  columns.u64(static_cast<uint64_t>(record.time_ms));
  columns.u8(static_cast<uint8_t>(record.entry.event));
  columns.u8(static_cast<uint8_t>(record.entry.outcome));
  columns.text(record.entry.gallery);
  columns.text(record.entry.subject);
  return sha256(columns.bytes());
}

Error broken_chain(const Connection& connection, uint64_t sequence) {
  return make_error(ErrorCode::corrupt,
                    "the audit log of the catalogue {} was changed or damaged: record {} is "
                    "missing or does not follow from the one before; compare with a backup",
                    connection.path().string(), sequence);
}

Result<Digest> digest_column(const Connection& connection, const Statement& row, int column,
                             uint64_t sequence) {
  Digest digest;
  const ByteView stored = row.bytes(column);
  if (stored.size() != digest.size()) return broken_chain(connection, sequence);
  std::copy(stored.begin(), stored.end(), digest.begin());
  return digest;
}

Result<AuditRecord> parse_record(const Connection& connection, const Statement& row) {
  AuditRecord record;
  record.sequence = static_cast<uint64_t>(row.integer(0));
  record.time_ms = row.integer(1);
  if (!std::in_range<uint8_t>(row.integer(2)) || !std::in_range<uint8_t>(row.integer(3)))
    return broken_chain(connection, record.sequence);
  record.entry.event = static_cast<AuditEvent>(row.integer(2));
  record.entry.outcome = static_cast<AuditOutcome>(row.integer(3));
  record.entry.gallery = row.text(4);
  record.entry.subject = row.text(5);
  BAUTA_TRY(record.digest, digest_column(connection, row, 6, record.sequence));
  return record;
}

Result<std::vector<AuditRecord>> read_records(Connection& connection, uint64_t after,
                                              size_t count) {
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT sequence, time_ms, event, outcome, gallery, subject, digest "
                               "FROM audit WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
                               {static_cast<int64_t>(after), static_cast<int64_t>(count)}));
  std::vector<AuditRecord> records;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return records;
    BAUTA_TRY(AuditRecord record, parse_record(connection, rows));
    records.push_back(std::move(record));
  }
}

Status check_optional_name(std::string_view what, std::string_view name) {
  if (name.empty()) return {};
  return check_name(what, name);
}

// Open from the first record on, since a sync reports only what has failed since the file was
// opened. The name of a new log is made durable with it.
Status open_log(const Connection& connection, int& file) {
  if (file >= 0) return {};
  const std::string path = connection.path().string() + "-wal";
  BAUTA_CHECK(sync_directory(connection.path().parent_path()));
  file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file >= 0) return {};
  return make_error(ErrorCode::unavailable, "cannot open {}: {}", path, std::strerror(errno));
}

}  // namespace

const char* audit_event_name(AuditEvent event) {
  switch (event) {
    case AuditEvent::gallery_created:
      return "gallery_created";
    case AuditEvent::gallery_deleted:
      return "gallery_deleted";
    case AuditEvent::enrolment:
      return "enrolment";
    case AuditEvent::erasure:
      return "erasure";
    case AuditEvent::edge_added:
      return "edge_added";
    case AuditEvent::edge_revoked:
      return "edge_revoked";
    case AuditEvent::identification:
      return "identification";
    case AuditEvent::verification:
      return "verification";
    case AuditEvent::gallery_renewed:
      return "gallery_renewed";
  }
  return "unknown";
}

const char* audit_outcome_name(AuditOutcome outcome) {
  switch (outcome) {
    case AuditOutcome::accepted:
      return "accepted";
    case AuditOutcome::rejected:
      return "rejected";
    case AuditOutcome::failed:
      return "failed";
    case AuditOutcome::refused:
      return "refused";
  }
  return "unknown";
}

Result<AuditHead> read_audit_head(Connection& connection) {
  // SQLite counts the records ever appended by itself; it shows that the last ones are missing.
  BAUTA_TRY(const int64_t appended,
            connection.query_integer(
                "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)"));
  BAUTA_TRY(Statement last, connection.prepare("SELECT sequence, digest FROM audit "
                                               "ORDER BY sequence DESC LIMIT 1"));
  BAUTA_TRY(const bool any, last.step());
  AuditHead head;
  if (any) {
    head.sequence = static_cast<uint64_t>(last.integer(0));
    BAUTA_TRY(head.digest, digest_column(connection, last, 1, head.sequence));
  }
  if (head.sequence != static_cast<uint64_t>(appended))
    return broken_chain(connection, head.sequence + 1);
  return head;
}

Result<AuditHead> append_audit_record(Connection& connection, const AuditEntry& entry) {
  BAUTA_TRY(const AuditHead head, read_audit_head(connection));
  AuditRecord record{head.sequence + 1, now_ms(), entry, {}};
  record.digest = record_digest(head.digest, record);
  BAUTA_CHECK(connection.run(
      "INSERT INTO audit (sequence, time_ms, event, outcome, gallery, subject, digest) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
      {static_cast<int64_t>(record.sequence), record.time_ms, static_cast<int64_t>(entry.event),
       static_cast<int64_t>(entry.outcome), entry.gallery, entry.subject, record.digest}));
  return AuditHead{record.sequence, record.digest};
}

Status check_audit_entry(const AuditEntry& entry) {
  BAUTA_CHECK(check_optional_name("gallery", entry.gallery));
  return check_optional_name("subject", entry.subject);
}

Status Catalogue::append_audit_unsynced(std::span<const AuditEntry> entries) {
  for (const AuditEntry& entry : entries) BAUTA_CHECK(check_audit_entry(entry));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->auditing;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(open_log(connection, state_->log_file));
  for (const AuditEntry& entry : entries) BAUTA_CHECK(append_audit_record(connection, entry));
  return transaction.commit();
}

Status Catalogue::sync_audit() {
  int file = -1;
  {
    std::lock_guard lock(state_->mutex);
    file = state_->log_file;  // not closed before the catalogue
  }
  if (file < 0 || fdatasync(file) == 0) return {};
  return make_error(ErrorCode::unavailable, "cannot sync {}-wal: {}",
                    state_->connection.path().string(), std::strerror(errno));
}

Status Catalogue::shorten_log() {
  std::lock_guard lock(state_->mutex);
  return state_->auditing.checkpoint();
}

Result<AuditHead> Catalogue::append_audit(const AuditEntry& entry) {
  BAUTA_CHECK(check_audit_entry(entry));
  std::lock_guard lock(state_->mutex);
  BAUTA_TRY(Transaction transaction, Transaction::begin(state_->connection));
  BAUTA_TRY(const AuditHead head, append_audit_record(state_->connection, entry));
  BAUTA_CHECK(transaction.commit());
  return head;
}

Result<std::vector<AuditRecord>> Catalogue::read_audit(uint64_t after, size_t count) {
  if (count == 0 || count > kMaxAuditRecordsPerRead || !std::in_range<int64_t>(after))
    return make_error(ErrorCode::invalid_argument,
                      "cannot read {} audit records after record {}; ask for 1 to {} at a time",
                      count, after, kMaxAuditRecordsPerRead);
  std::lock_guard lock(state_->mutex);
  return read_records(state_->connection, after, count);
}

Result<AuditHead> Catalogue::audit_head() {
  std::lock_guard lock(state_->mutex);
  return read_audit_head(state_->connection);
}

Result<AuditHead> Catalogue::verify_audit_chain() {
  BAUTA_TRY(const AuditHead head, audit_head());
  AuditHead verified;
  while (verified.sequence < head.sequence) {
    BAUTA_TRY(const auto records, read_audit(verified.sequence, kMaxAuditRecordsPerRead));
    if (records.empty()) return broken_chain(state_->connection, verified.sequence + 1);
    for (const AuditRecord& record : records) {
      if (record.sequence != verified.sequence + 1 ||
          record.digest != record_digest(verified.digest, record))
        return broken_chain(state_->connection, verified.sequence + 1);
      verified = {record.sequence, record.digest};
    }
  }
  return verified;
}

}  // namespace bauta::store
