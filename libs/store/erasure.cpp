// Erasure in two durable steps. First the rows are taken out of use: one transaction, after which
// nothing returns them. Then their bytes are removed: the payloads are deleted (secure_delete
// overwrites their pages), the write-ahead log, which still holds the pages as they were, is moved
// into the database and emptied, and only then the rows become `erased` and their positions free.
// The second part can be interrupted anywhere and is taken up again by whoever opens the catalogue.
#include <optional>

#include "store/state.h"

namespace bauta::store {
namespace {

constexpr int64_t kPayloadsPerTransaction = 64;

// Rows out of use that no segment holds any more. The bytes of a bulk reference are in its segment
// as long as that exists.
constexpr const char* kInNoSegment =
    "state = 2 AND (NOT EXISTS (SELECT 1 FROM segment s WHERE s.gallery = r.gallery "
    "AND s.block = r.position / 4096) OR (bulk = 0 AND generation <= "
    "(SELECT compacted FROM gallery g WHERE g.id = r.gallery)))";
static_assert(kBlockPositions == 4096);

Result<std::vector<int64_t>> read_ids(Connection& connection, std::string_view sql,
                                      std::initializer_list<Value> values = {}) {
  BAUTA_TRY(Statement rows, connection.prepare(sql, values));
  std::vector<int64_t> ids;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return ids;
    ids.push_back(rows.integer(0));
  }
}

// Deletes payloads of erasing rows of one table, a transaction's worth at a time.
Status delete_payloads(Connection& connection, std::string_view table) {
  while (true) {
    BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
    BAUTA_TRY(const auto ids,
              read_ids(connection,
                       fmt::format("SELECT id FROM {} WHERE state = 2 AND payload IS NOT NULL "
                                   "LIMIT ?1",
                                   table),
                       {kPayloadsPerTransaction}));
    if (ids.empty()) return {};
    for (const int64_t id : ids) {
      BAUTA_CHECK(connection.run(
          fmt::format("DELETE FROM payload WHERE id = (SELECT payload FROM {} WHERE id = ?1)",
                      table),
          {id}));
      BAUTA_CHECK(
          connection.run(fmt::format("UPDATE {} SET payload = NULL WHERE id = ?1", table), {id}));
    }
    BAUTA_CHECK(transaction.commit());
  }
}

// The second originals of references that were erased while they were being renewed.
constexpr const char* kErasedInRenewal =
    "SELECT w.reference FROM reference r INDEXED BY reference_erasing CROSS JOIN renewal w "
    "ON w.reference = r.id WHERE r.state = 2 AND w.payload IS NOT NULL";

Status delete_renewed(Connection& connection) {
  while (true) {
    BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
    BAUTA_TRY(const auto ids, read_ids(connection, fmt::format("{} LIMIT ?1", kErasedInRenewal),
                                       {kPayloadsPerTransaction}));
    if (ids.empty()) return {};
    for (const int64_t id : ids) BAUTA_CHECK(delete_renewal_payload(connection, id));
    BAUTA_CHECK(transaction.commit());
  }
}

Status mark_erased(Connection& connection, std::string_view table,
                   const std::vector<int64_t>& ids) {
  for (const int64_t id : ids)
    BAUTA_CHECK(connection.run(
        fmt::format("UPDATE {} SET state = 3 WHERE id = ?1 AND state = 2", table), {id}));
  return {};
}

// A deleted gallery has no name; its row and its positions stay until the bytes are gone.
Status drop_deleted_galleries(Connection& connection) {
  BAUTA_TRY(const auto galleries,
            read_ids(connection,
                     "SELECT id FROM gallery g WHERE name IS NULL AND NOT EXISTS "
                     "(SELECT 1 FROM reference r WHERE r.state = 2 AND r.gallery = g.id)"));
  for (const int64_t id : galleries) {
    BAUTA_CHECK(connection.run("DELETE FROM reference WHERE gallery = ?1", {id}));
    BAUTA_CHECK(connection.run("DELETE FROM gallery WHERE id = ?1", {id}));
  }
  return {};
}

// Takes the gallery's references, or those of one subject, out of use and returns their number.
Result<uint64_t> retire_references(Connection& connection, const Gallery& gallery,
                                   std::optional<std::string_view> subject) {
  BAUTA_TRY(const uint64_t generation, advance_generation(connection, gallery));
  const auto sql = fmt::format(
      "UPDATE reference SET state = 2, generation = ?2, subject = NULL, original_bytes = 0, "
      "original_digest = NULL, digest = NULL WHERE gallery = ?1 AND state = 1 {}",
      subject ? "AND subject = ?3" : "");
  const Value generation_value = static_cast<int64_t>(generation);
  BAUTA_CHECK(subject ? connection.run(sql, {gallery.id, generation_value, *subject})
                      : connection.run(sql, {gallery.id, generation_value}));
  return static_cast<uint64_t>(connection.changed_rows());
}

Result<bool> nothing_remains(Connection& connection) {
  BAUTA_TRY(const int64_t remaining,
            connection.query_integer("SELECT EXISTS (SELECT 1 FROM reference WHERE state = 2)"));
  return remaining == 0;
}

}  // namespace

Result<uint64_t> retire_gallery(Connection& connection, std::string_view name) {
  BAUTA_TRY(Statement row, connection.prepare("SELECT id FROM gallery WHERE name = ?1", {name}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return uint64_t{0};
  Gallery gallery;
  gallery.id = row.integer(0);
  BAUTA_TRY(const uint64_t references, retire_references(connection, gallery, std::nullopt));
  BAUTA_CHECK(connection.run("UPDATE gallery SET name = NULL WHERE id = ?1", {gallery.id}));
  BAUTA_CHECK(connection.run("DELETE FROM segment WHERE gallery = ?1", {gallery.id}));
  return references;
}

Result<bool> wipe_erased(Connection& connection) {
  BAUTA_TRY(const int64_t anything, connection.query_integer(fmt::format(
                                        "SELECT EXISTS (SELECT 1 FROM reference r WHERE state = 2 "
                                        "AND (payload IS NOT NULL OR {})) "
                                        "OR EXISTS (SELECT 1 FROM edge WHERE state = 2) "
                                        "OR EXISTS (SELECT 1 FROM renewal WHERE payload IS NULL) "
                                        "OR EXISTS ({}) "
                                        "OR EXISTS (SELECT 1 FROM gallery WHERE name IS NULL)",
                                        kInNoSegment, kErasedInRenewal)));
  if (anything == 0) return nothing_remains(connection);
  BAUTA_CHECK(delete_renewed(connection));
  BAUTA_CHECK(delete_payloads(connection, "reference"));
  BAUTA_CHECK(delete_payloads(connection, "edge"));
  // Read before the log is emptied: a payload that another process deletes after that is its own
  // concern.
  BAUTA_TRY(const auto references,
            read_ids(connection, fmt::format("SELECT id FROM reference r WHERE payload IS NULL "
                                             "AND {}",
                                             kInNoSegment)));
  BAUTA_TRY(const auto edges,
            read_ids(connection, "SELECT id FROM edge WHERE state = 2 AND payload IS NULL"));
  BAUTA_TRY(const auto renewals,
            read_ids(connection, "SELECT reference FROM renewal WHERE payload IS NULL"));
  BAUTA_TRY(const bool emptied, connection.truncate_log());
  if (!emptied) return false;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(mark_erased(connection, "reference", references));
  BAUTA_CHECK(mark_erased(connection, "edge", edges));
  for (const int64_t id : renewals)
    BAUTA_CHECK(connection.run("DELETE FROM renewal WHERE reference = ?1", {id}));
  BAUTA_CHECK(drop_deleted_galleries(connection));
  BAUTA_CHECK(transaction.commit());
  return nothing_remains(connection);
}

bool wipe_if_possible(Connection& connection) {
  const auto wiped = wipe_erased(connection);
  return wiped.ok() && *wiped;
}

Result<uint64_t> Catalogue::retire_subject(const Gallery& gallery, std::string_view subject) {
  BAUTA_CHECK(check_name("subject", subject));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const uint64_t references, retire_references(connection, gallery, subject));
  if (references == 0) return not_enrolled(gallery, subject);
  BAUTA_CHECK(append_audit_record(connection, {AuditEvent::erasure, AuditOutcome::accepted,
                                               gallery.name, std::string(subject)}));
  BAUTA_CHECK(transaction.commit());
  return references;
}

Result<Erasure> Catalogue::erase_subject(const Gallery& gallery, std::string_view subject) {
  Erasure erasure;
  BAUTA_TRY(erasure.references, retire_subject(gallery, subject));
  std::lock_guard lock(state_->mutex);
  erasure.bytes_gone = wipe_if_possible(state_->connection);
  return erasure;
}

Result<Erasure> Catalogue::delete_gallery(std::string_view name) {
  BAUTA_CHECK(find_gallery(name));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  Erasure erasure;
  {
    BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
    BAUTA_TRY(erasure.references, retire_gallery(connection, name));
    BAUTA_CHECK(append_audit_record(
        connection, {AuditEvent::gallery_deleted, AuditOutcome::accepted, std::string(name), ""}));
    BAUTA_CHECK(transaction.commit());
  }
  erasure.bytes_gone = wipe_if_possible(connection);
  return erasure;
}

Result<bool> Catalogue::finish_erasures() {
  std::lock_guard lock(state_->mutex);
  return wipe_erased(state_->connection);
}

}  // namespace bauta::store
