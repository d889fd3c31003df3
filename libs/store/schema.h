// The catalogue's tables and how a file is brought to the newest version of them.
#pragma once

#include <span>

#include "store/sqlite.h"

namespace bauta::store {

// Persistent: the `state` column of `reference` and `edge`. Append only.
enum class RowState : int64_t {
  live = 1,
  erasing = 2,  // out of use; its bytes may still lie in the files
  erased = 3,   // its bytes are gone
};

// In front of every payload's bytes: SQLite keeps the beginning of a long row in the B-tree page
// and may leave a copy of it behind when it balances pages. A page holds less than this, so what
// is left behind is zeros; the bytes themselves lie in overflow pages, which secure_delete wipes.
inline constexpr int64_t kPageBytes = 4096;
inline constexpr int64_t kPaddingBytes = kPageBytes;

// Step i is the SQL that takes a file from schema version i to i + 1. A step that has been
// released is never changed.
std::span<const char* const> schema_steps();

// Makes a new catalogue beside `path` and renames it, so that at `path` there is never half a
// catalogue and an empty file is one that lost its content. Fine if another process was faster.
// Errors: not_found when there is no such directory; corrupt when a log without its catalogue
// stands there.
Status create_catalogue(const std::filesystem::path& path, std::span<const char* const> steps);

// Opens an existing catalogue, sets the connection up and applies the steps it lacks, each in a
// transaction of its own.
// Errors: corrupt; mismatch, a newer schema or another program's database; nothing is changed then.
Result<Connection> open_catalogue(const std::filesystem::path& path, int busy_timeout_ms,
                                  std::span<const char* const> steps);

// Makes a further connection to such a catalogue one whose commits write the log and sync nothing;
// it never moves the log into the database by itself, which syncs.
Status set_up_without_sync(Connection& connection);

// Makes a further connection to such a catalogue one that cannot write.
Status set_up_for_reading(Connection& connection);

}  // namespace bauta::store
