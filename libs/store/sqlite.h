// SQLite's C interface as owned objects and Results, for libs/store alone.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace bauta::store {

// What a parameter of a statement is bound to; text and bytes are copied.
using Value = std::variant<std::nullptr_t, int64_t, std::string_view, ByteView>;

// A prepared statement with its parameters bound. Must not outlive its connection.
class Statement {
 public:
  // Moves to the next row. False: there is none, and the statement is done.
  Result<bool> step();

  // Of the row stepped to; columns count from 0. Views hold until the next step.
  bool is_null(int column) const;
  int64_t integer(int column) const;
  std::string_view text(int column) const;
  ByteView bytes(int column) const;

 private:
  friend class Connection;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(class Connection& connection, sqlite3_stmt* statement)
      : connection_(&connection), statement_(statement) {}

  Connection* connection_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection to one database file; not thread-safe. Errors carry the codes that catalogue.h
// promises and name the file.
class Connection {
 public:
  // Opens an existing file and changes nothing in it.
  static Result<Connection> open(const std::filesystem::path& path, int busy_timeout_ms);

  // Binds ?1, ?2, … to `values` in order.
  Result<Statement> prepare(std::string_view sql, std::initializer_list<Value> values = {});
  // Runs one statement to its end, ignoring rows.
  Status run(std::string_view sql, std::initializer_list<Value> values = {});
  // Runs a script of several statements without parameters.
  Status run_script(const std::string& sql);
  // The first column of the only row. A query without a row is a bug.
  Result<int64_t> query_integer(std::string_view sql, std::initializer_list<Value> values = {});
  // Rows that the last run() inserted, updated or deleted.
  int64_t changed_rows() const;

  // Moves of the write-ahead log into the database what no reader is in the way of, durably.
  Status checkpoint();
  // Moves the write-ahead log into the database and empties its file. False when another process
  // is still reading what the log holds.
  Result<bool> truncate_log();

  // What the call that has just failed means; reads errno, which every call clears first.
  Error error(int code) const;
  const std::filesystem::path& path() const { return path_; }
  int busy_timeout_ms() const { return busy_timeout_ms_; }

 private:
  friend class Transaction;
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Connection(std::filesystem::path path, int busy_timeout_ms, sqlite3* database)
      : path_(std::move(path)), busy_timeout_ms_(busy_timeout_ms), database_(database) {}

  std::filesystem::path path_;
  int busy_timeout_ms_;
  std::unique_ptr<sqlite3, Close> database_;
};

// Rolled back on destruction unless committed.
class Transaction {
 public:
  // Takes the write lock at once, so that what is read inside still holds when it is written.
  static Result<Transaction> begin(Connection& connection);
  Status commit();

  Transaction(Transaction&& other) noexcept
      : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

}  // namespace bauta::store
