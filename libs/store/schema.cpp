#include "store/schema.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

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
CREATE INDEX reference_subject ON reference (gallery, subject, position) WHERE subject IS NOT NULL;
CREATE INDEX reference_erasing ON reference (payload) WHERE state = 2;
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
    R"sql(
ALTER TABLE gallery ADD COLUMN compacted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gallery ADD COLUMN segments_version INTEGER NOT NULL DEFAULT 0;

CREATE TABLE segment (
  gallery INTEGER NOT NULL REFERENCES gallery (id),
  block INTEGER NOT NULL,
  bulk INTEGER NOT NULL,
  file TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (gallery, block)
) STRICT, WITHOUT ROWID;

ALTER TABLE reference RENAME TO reference_1;
CREATE TABLE reference (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  gallery INTEGER NOT NULL REFERENCES gallery (id),
  position INTEGER NOT NULL,
  generation INTEGER NOT NULL,
  enrolled INTEGER NOT NULL,
  state INTEGER NOT NULL,
  bulk INTEGER NOT NULL,
  subject TEXT,
  created_at_ms INTEGER NOT NULL,
  original_bytes INTEGER NOT NULL,
  original_digest BLOB,
  digest BLOB,
  payload INTEGER,
  UNIQUE (gallery, position),
  CHECK (CASE state WHEN 1 THEN subject IS NOT NULL AND (payload IS NOT NULL OR bulk = 1)
                    WHEN 2 THEN subject IS NULL
                    ELSE subject IS NULL AND payload IS NULL END)
) STRICT;
INSERT INTO reference SELECT id, gallery, position, generation, generation, state, 0, subject,
  created_at_ms, original_bytes, original_digest, digest, payload FROM reference_1;
DELETE FROM sqlite_sequence WHERE name = 'reference';
INSERT INTO sqlite_sequence (name, seq)
  SELECT 'reference', seq FROM sqlite_sequence WHERE name = 'reference_1';
DROP TABLE reference_1;
CREATE INDEX reference_change ON reference (gallery, generation, position)
  WHERE bulk = 0 OR state <> 1;
CREATE INDEX reference_subject ON reference (gallery, subject, position) WHERE subject IS NOT NULL;
CREATE INDEX reference_erasing ON reference (gallery, position) WHERE state = 2;
CREATE INDEX reference_erased ON reference (gallery, position) WHERE state = 3;
CREATE INDEX reference_single ON reference (gallery, position) WHERE bulk = 0;
)sql",
    R"sql(
ALTER TABLE gallery ADD COLUMN renewing_to TEXT;

CREATE TABLE renewal (
  reference INTEGER PRIMARY KEY,
  gallery INTEGER NOT NULL,
  former INTEGER NOT NULL,
  original_bytes INTEGER NOT NULL,
  original_digest BLOB NOT NULL,
  digest BLOB NOT NULL,
  payload INTEGER
) STRICT;
CREATE INDEX renewal_gallery ON renewal (gallery);
CREATE INDEX renewal_removed ON renewal (reference) WHERE payload IS NULL;
)sql",
};

Result<int64_t> read_version(Connection& connection) {
  return connection.query_integer("PRAGMA user_version");
}

Status check_is_catalogue(Connection& connection, size_t newest_version) {
  const std::string file = connection.path().string();
  BAUTA_TRY(const int64_t tables, connection.query_integer("SELECT count(*) FROM sqlite_schema"));
  BAUTA_TRY(const int64_t application, connection.query_integer("PRAGMA application_id"));
  BAUTA_TRY(const int64_t version, read_version(connection));
  if (tables == 0)
    return make_error(ErrorCode::corrupt,
                      "the catalogue {} is empty, so its content was lost; restore it from a "
                      "backup, or delete the file to begin a new one",
                      file);
  if (application != kApplicationId)
    return make_error(ErrorCode::mismatch,
                      "{} is a database of another program, not a catalogue; choose another file",
                      file);
  if (version < 1 || version > static_cast<int64_t>(newest_version))
    return make_error(ErrorCode::mismatch,
                      "the catalogue {} has schema version {} and this program knows 1 to {}; use "
                      "the version of bauta that wrote it, or a newer one",
                      file, version, newest_version);
  return {};
}

Status enter_wal_mode(Connection& connection) {
  BAUTA_TRY(Statement mode, connection.prepare("PRAGMA journal_mode = WAL"));
  BAUTA_TRY(const bool row, mode.step());
  if (row && mode.text(0) == "wal") return {};
  return make_error(ErrorCode::unavailable,
                    "the file system of {} does not support the shared memory that a write-ahead "
                    "log needs; keep the catalogue on a local disk",
                    connection.path().string());
}

Status set_up(Connection& connection) {
  BAUTA_CHECK(enter_wal_mode(connection));
  return connection.run_script(
      "PRAGMA synchronous = FULL;"
      "PRAGMA secure_delete = ON;"
      "PRAGMA foreign_keys = ON;"
      "PRAGMA temp_store = MEMORY;"
      "PRAGMA trusted_schema = OFF;"
      "PRAGMA cell_size_check = ON;");
}

Status apply_next_step(Connection& connection, std::span<const char* const> steps) {
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const int64_t stored, read_version(connection));
  const auto version = static_cast<size_t>(stored);
  if (version >= steps.size()) return {};  // another process was faster
  BAUTA_CHECK(connection.run_script(steps[version]));
  BAUTA_CHECK(connection.run(fmt::format("PRAGMA application_id = {}", kApplicationId)));
  BAUTA_CHECK(connection.run(fmt::format("PRAGMA user_version = {}", version + 1)));
  return transaction.commit();
}

Status apply_missing_steps(Connection& connection, std::span<const char* const> steps) {
  BAUTA_TRY(int64_t version, read_version(connection));
  while (static_cast<size_t>(version) < steps.size()) {
    BAUTA_CHECK(apply_next_step(connection, steps));
    BAUTA_TRY(version, read_version(connection));
  }
  return {};
}

Error creation_error(const std::filesystem::path& path, int reason) {
  const ErrorCode code = reason == ENOENT                       ? ErrorCode::not_found
                         : reason == ENOSPC || reason == EDQUOT ? ErrorCode::no_space
                                                                : ErrorCode::unavailable;
  return make_error(code, "cannot create the catalogue {}: {}; check its directory", path.string(),
                    std::strerror(reason));
}

// Fills the empty file `path`. Closing the connection moves everything from the log into it.
Status fill(const std::filesystem::path& path, std::span<const char* const> steps) {
  BAUTA_TRY(Connection connection, Connection::open(path, 0));
  BAUTA_CHECK(connection.run(fmt::format("PRAGMA page_size = {}", kPageBytes)));
  BAUTA_CHECK(set_up(connection));
  return apply_missing_steps(connection, steps);
}

void remove_with_log(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) unlink((path + suffix).c_str());
}

}  // namespace

std::span<const char* const> schema_steps() {
  return kSteps;
}

Status create_catalogue(const std::filesystem::path& path, std::span<const char* const> steps) {
  // SQLite would play the log of a lost catalogue into the new one.
  std::error_code none;
  if (std::filesystem::exists(path.string() + "-wal", none) && !std::filesystem::exists(path, none))
    return make_error(ErrorCode::corrupt,
                      "the catalogue {} is missing but its log {}-wal is there; restore both from "
                      "a backup, or delete the log to begin a new catalogue",
                      path.string(), path.string());
  std::string unfinished = path.string() + ".new-XXXXXX";
  const int descriptor = mkostemp(unfinished.data(), O_CLOEXEC);  // mode 0600, kept by SQLite
  if (descriptor < 0) return creation_error(path, errno);
  close(descriptor);
  if (Status filled = fill(unfinished, steps); !filled.ok()) {
    remove_with_log(unfinished);
    return filled;
  }
  // Durable with the first commit, when SQLite syncs the directory of the new log.
  if (renameat2(AT_FDCWD, unfinished.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0)
    return {};
  const int reason = errno;
  remove_with_log(unfinished);
  if (reason == EEXIST) return {};
  return creation_error(path, reason);
}

Status set_up_without_sync(Connection& connection) {
  BAUTA_CHECK(set_up(connection));
  return connection.run_script(
      "PRAGMA synchronous = NORMAL;"
      "PRAGMA wal_autocheckpoint = 0;");
}

Status set_up_for_reading(Connection& connection) {
  return connection.run_script(
      "PRAGMA query_only = ON;"
      "PRAGMA temp_store = MEMORY;"
      "PRAGMA trusted_schema = OFF;"
      "PRAGMA cell_size_check = ON;");
}

Result<Connection> open_catalogue(const std::filesystem::path& path, int busy_timeout_ms,
                                  std::span<const char* const> steps) {
  BAUTA_TRY(Connection connection, Connection::open(path, busy_timeout_ms));
  BAUTA_CHECK(check_is_catalogue(connection, steps.size()));
  BAUTA_CHECK(set_up(connection));
  BAUTA_CHECK(apply_missing_steps(connection, steps));
  return connection;
}

}  // namespace bauta::store
