// Whole files, read within a limit and written so that a crash leaves the old or the new, never
// half.
#pragma once

#include <filesystem>

#include "base/bytes.h"

namespace bauta {

// Errors: not_found; invalid_argument for a directory or a file of more than max_size_bytes;
// unavailable for everything else the system reports.
Result<Bytes> read_file(const std::filesystem::path& path, size_t max_size_bytes);

// Writes beside `path`, fsyncs, renames over it, fsyncs the directory. The file gets exactly
// `mode`. Errors: no_space when the disk is full; unavailable otherwise. On error `path` is as it
// was.
Status write_file_atomically(const std::filesystem::path& path, ByteView bytes,
                             unsigned mode = 0644);

// Makes the names in a directory durable. Error unavailable.
Status sync_directory(const std::filesystem::path& directory);

// Creates the directory and its parents, the last with exactly `mode`; fine if it exists.
Status create_directory(const std::filesystem::path& path, unsigned mode = 0755);

// An exclusive advisory lock on a file, held until destruction; released by the kernel on a crash.
class FileLock {
 public:
  // Error `busy`, with the holder's process id where it is known, when another process still holds
  // it after wait_ms.
  static Result<FileLock> acquire(const std::filesystem::path& path, int64_t wait_ms = 0);

  FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace bauta
