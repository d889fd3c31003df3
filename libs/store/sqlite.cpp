#include "store/sqlite.h"

#include <cerrno>
#include <cstring>

#include <sqlite3.h>

namespace bauta::store {
namespace {

bool ran_out_of_space(int code, int system_error) {
  if (code == SQLITE_FULL) return true;
  return (code & 0xff) == SQLITE_IOERR &&
         (system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG);
}

int bind(sqlite3_stmt* statement, int index, const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value))
    return sqlite3_bind_int64(statement, index, *integer);
  if (const auto* text = std::get_if<std::string_view>(&value))
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT,
                               SQLITE_UTF8);
  if (const auto* bytes = std::get_if<ByteView>(&value)) {
    if (bytes->empty()) return sqlite3_bind_zeroblob(statement, index, 0);
    return sqlite3_bind_blob64(statement, index, bytes->data(), bytes->size(), SQLITE_TRANSIENT);
  }
  return sqlite3_bind_null(statement, index);
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Result<bool> Statement::step() {
  errno = 0;
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return connection_->error(code);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::text(int column) const {
  return as_text(bytes(column));
}

ByteView Statement::bytes(int column) const {
  const auto* first = static_cast<const uint8_t*>(sqlite3_column_blob(statement_.get(), column));
  const auto count = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return first == nullptr ? ByteView{} : ByteView{first, count};
}

void Connection::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

Result<Connection> Connection::open(const std::filesystem::path& path, int busy_timeout_ms) {
  // Absolute, so that SQLite never takes the name for ":memory:" or a URI.
  std::error_code reason;
  std::filesystem::path absolute = std::filesystem::absolute(path, reason);
  if (reason)
    return make_error(ErrorCode::unavailable, "cannot find {}: {}", path.string(),
                      reason.message());
  sqlite3* database = nullptr;
  errno = 0;
  const int code =
      sqlite3_open_v2(absolute.c_str(), &database,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Connection connection(std::move(absolute), busy_timeout_ms, database);
  if (code != SQLITE_OK) return connection.error(code);
  if (sqlite3_db_readonly(database, "main") == 1)
    return make_error(ErrorCode::unavailable,
                      "cannot write the catalogue {}; check the owner and mode of the file",
                      connection.path_.string());
  sqlite3_busy_timeout(database, busy_timeout_ms);
  return connection;
}

Result<Statement> Connection::prepare(std::string_view sql, std::initializer_list<Value> values) {
  sqlite3_stmt* prepared = nullptr;
  errno = 0;
  int code = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                &prepared, nullptr);
  // Our statements are fixed and tested: one that does not compile has met a schema not ours.
  if (code == SQLITE_ERROR) code = SQLITE_CORRUPT;
  if (code != SQLITE_OK) return error(code);
  Statement statement(*this, prepared);
  int index = 0;
  for (const Value& value : values)
    if ((code = bind(prepared, ++index, value)) != SQLITE_OK) return error(code);
  return statement;
}

Status Connection::run(std::string_view sql, std::initializer_list<Value> values) {
  BAUTA_TRY(Statement statement, prepare(sql, values));
  while (true) {
    BAUTA_TRY(const bool row, statement.step());
    if (!row) return {};
  }
}

Status Connection::run_script(const std::string& sql) {
  errno = 0;
  const int code = sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

Result<int64_t> Connection::query_integer(std::string_view sql,
                                          std::initializer_list<Value> values) {
  BAUTA_TRY(Statement statement, prepare(sql, values));
  BAUTA_TRY(const bool row, statement.step());
  BAUTA_ASSERT(row);
  return statement.integer(0);
}

int64_t Connection::changed_rows() const {
  return sqlite3_changes64(database_.get());
}

Status Connection::checkpoint() {
  errno = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE,
                                             nullptr, nullptr);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return error(code);
  return {};
}

Result<bool> Connection::truncate_log() {
  errno = 0;
  const int code = sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                             nullptr, nullptr);
  if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) return false;
  if (code != SQLITE_OK) return error(code);
  return true;
}

Error Connection::error(int code) const {
  // Not sqlite3_system_errno, which a failing COMMIT leaves as it was.
  const int system_error = errno;
  const std::string file = path_.string();
  if (ran_out_of_space(code, system_error))
    return make_error(ErrorCode::no_space,
                      "cannot write the catalogue {}: the disk is full; free some space and try "
                      "again",
                      file);
  if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS) code = SQLITE_CORRUPT;
  const char* detail = sqlite3_errstr(code);
  switch (code & 0xff) {
    case SQLITE_BUSY:
      return make_error(ErrorCode::busy,
                        "another process has held the catalogue {} for more than {} ms; wait for "
                        "it to end and try again",
                        file, busy_timeout_ms_);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CONSTRAINT:  // we keep the constraints, so what stands there does not
      return make_error(ErrorCode::corrupt,
                        "the catalogue {} is damaged ({}); stop the processes that use it and "
                        "restore it from a backup",
                        file, detail);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_NOLFS:
    case SQLITE_PROTOCOL:
      return make_error(ErrorCode::unavailable,
                        "cannot read and write the catalogue {} ({}{}{}); check that the file and "
                        "its directory belong to this user and that the file system is in order",
                        file, detail, system_error == 0 ? "" : ": ",
                        system_error == 0 ? "" : std::strerror(system_error));
    default:
      return make_error(ErrorCode::internal, "the catalogue {} failed: {} ({})", file,
                        sqlite3_errmsg(database_.get()), code);
  }
}

Result<Transaction> Transaction::begin(Connection& connection) {
  BAUTA_CHECK(connection.run("BEGIN IMMEDIATE"));
  return Transaction(connection);
}

Status Transaction::commit() {
  BAUTA_CHECK(connection_->run("COMMIT"));
  connection_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  if (connection_ == nullptr) return;
  // After some errors SQLite has rolled back by itself, and says so here. If it cannot, the
  // transaction stays uncommitted and ends with the connection.
  sqlite3_exec(connection_->database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

}  // namespace bauta::store
