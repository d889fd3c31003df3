#include "store/schema.h"

#include <chrono>
#include <thread>

namespace bauta::store {
namespace {

constexpr int64_t kApplicationId = 0x62617574;  // "baut"

constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE gallery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE,
  key_id TEXT NOT NULL,
  contract TEXT NOT NULL,
  dimension INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  digest BLOB NOT NULL,
  generation INTEGER NOT NULL
) STRICT;

CREATE TABLE payload (
  id INTEGER PRIMARY KEY,
  padding BLOB NOT NULL,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE reference (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  gallery INTEGER NOT NULL REFERENCES gallery (id),
  position INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  state INTEGER NOT NULL,
  subject TEXT,
  created_at_ms INTEGER NOT NULL,
  original_bytes INTEGER NOT NULL,
  original_digest BLOB,
  digest BLOB,
  payload INTEGER,
  UNIQUE (gallery, position),
  CHECK (CASE state WHEN 1 THEN subject IS NOT NULL AND payload IS NOT NULL
                    WHEN 2 THEN subject IS NULL
                    ELSE subject IS NULL AND payload IS NULL END)
) STRICT;
CREATE INDEX reference_change ON reference (gallery, generation, position);
CREATE INDEX reference_subject ON reference (gallery, subject) WHERE subject IS NOT NULL;
CREATE INDEX reference_erasing ON reference (id) WHERE state = 2;
CREATE INDEX reference_erased ON reference (gallery, position) WHERE state = 3;

CREATE TABLE edge (
  id INTEGER PRIMARY KEY,
  key_id TEXT NOT NULL,
  edge_id TEXT NOT NULL,
  state INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  digest BLOB,
  payload INTEGER,
  UNIQUE (key_id, edge_id)
) STRICT;

CREATE TABLE audit (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  time_ms INTEGER NOT NULL,
  event INTEGER NOT NULL,
  outcome INTEGER NOT NULL,
  gallery TEXT NOT NULL,
  subject TEXT NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_keeps_columns BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
)sql",
};

struct FileKind {
  int64_t application_id = 0;
  int64_t version = 0;
  bool empty = true;
};

Result<FileKind> read_file_kind(Connection& connection) {
  FileKind kind;
  BAUTA_TRY(const int64_t tables, connection.query_integer("SELECT count(*) FROM sqlite_schema"));
  BAUTA_TRY(kind.application_id, connection.query_integer("PRAGMA application_id"));
  BAUTA_TRY(kind.version, connection.query_integer("PRAGMA user_version"));
  kind.empty = tables == 0 && kind.application_id == 0 && kind.version == 0;
  return kind;
}

Status check_file_kind(const Connection& connection, const FileKind& kind, size_t newest) {
  if (kind.empty) return {};
  if (kind.application_id != kApplicationId)
    return make_error(ErrorCode::mismatch,
                      "{} is a database of another program, not a catalogue; choose another file",
                      connection.path().string());
  if (kind.version < 1 || kind.version > static_cast<int64_t>(newest))
    return make_error(ErrorCode::mismatch,
                      "the catalogue {} has schema version {} and this program knows 1 to {}; use "
                      "the version of bauta that wrote it, or a newer one",
                      connection.path().string(), kind.version, newest);
  return {};
}

Status try_wal_mode(Connection& connection) {
  BAUTA_TRY(Statement mode, connection.prepare("PRAGMA journal_mode = WAL"));
  BAUTA_TRY(const bool row, mode.step());
  if (row && mode.text(0) == "wal") return {};
  return make_error(ErrorCode::unavailable,
                    "the file system of {} does not support the shared memory that a write-ahead "
                    "log needs; keep the catalogue on a local disk",
                    connection.path().string());
}

// Two processes that create the file at the same moment block each other here in a way that
// SQLite's own busy timeout does not wait for.
Status enter_wal_mode(Connection& connection) {
  using std::chrono::steady_clock;
  const auto deadline =
      steady_clock::now() + std::chrono::milliseconds(connection.busy_timeout_ms());
  while (true) {
    const Status entered = try_wal_mode(connection);
    if (entered.ok() || entered.error().code != ErrorCode::busy || steady_clock::now() > deadline)
      return entered;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

Status set_up(Connection& connection, bool create) {
  if (create) {
    std::error_code reason;  // SQLite gives the log and its index the mode of the database
    std::filesystem::permissions(
        connection.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write,
        reason);
    BAUTA_CHECK(connection.run(fmt::format("PRAGMA page_size = {}", kPageBytes)));
  }
  BAUTA_CHECK(enter_wal_mode(connection));
  return connection.run_script(
      "PRAGMA synchronous = FULL;"
      "PRAGMA secure_delete = ON;"
      "PRAGMA foreign_keys = ON;"
      "PRAGMA temp_store = MEMORY;"
      "PRAGMA trusted_schema = OFF;"
      "PRAGMA cell_size_check = ON;");
}

// True when a step was applied, false when there is none left.
Result<bool> apply_next_step(Connection& connection, std::span<const char* const> steps) {
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const FileKind kind, read_file_kind(connection));  // another process may have been here
  BAUTA_CHECK(check_file_kind(connection, kind, steps.size()));
  const auto version = static_cast<size_t>(kind.version);
  if (version == steps.size()) return false;
  BAUTA_CHECK(connection.run_script(steps[version]));
  BAUTA_CHECK(connection.run(fmt::format("PRAGMA application_id = {}", kApplicationId)));
  BAUTA_CHECK(connection.run(fmt::format("PRAGMA user_version = {}", version + 1)));
  BAUTA_CHECK(transaction.commit());
  return true;
}

}  // namespace

std::span<const char* const> schema_steps() {
  return kSteps;
}

Status prepare_catalogue(Connection& connection, std::span<const char* const> steps) {
  BAUTA_TRY(const FileKind kind, read_file_kind(connection));
  BAUTA_CHECK(check_file_kind(connection, kind, steps.size()));
  BAUTA_CHECK(set_up(connection, kind.empty));
  if (!kind.empty && kind.version == static_cast<int64_t>(steps.size())) return {};
  while (true) {
    BAUTA_TRY(const bool applied, apply_next_step(connection, steps));
    if (!applied) return {};
  }
}

}  // namespace bauta::store
