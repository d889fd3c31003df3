#include "base/file.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bauta {
namespace {

namespace fs = std::filesystem;

// Closes on every path.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  int get() const { return value_; }
  bool valid() const { return value_ >= 0; }

 private:
  int value_;
};

Error system_error(const char* action, const fs::path& path, int reason) {
  const ErrorCode code = reason == ENOENT                       ? ErrorCode::not_found
                         : reason == ENOSPC || reason == EDQUOT ? ErrorCode::no_space
                                                                : ErrorCode::unavailable;
  return make_error(code, "cannot {} {}: {}", action, path.string(), std::strerror(reason));
}

Status write_all(int descriptor, ByteView bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace

Result<Bytes> read_file(const fs::path& path, size_t max_size_bytes) {
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor.valid()) return system_error("open", path, errno);
  struct stat status {};
  if (fstat(descriptor.get(), &status) != 0) return system_error("examine", path, errno);
  if (!S_ISREG(status.st_mode))
    return make_error(ErrorCode::invalid_argument, "{} is not a regular file", path.string());
  const auto size_bytes = static_cast<size_t>(status.st_size);
  if (size_bytes > max_size_bytes)
    return make_error(ErrorCode::invalid_argument, "{} has {} bytes; at most {} are accepted",
                      path.string(), size_bytes, max_size_bytes);
  Bytes bytes(size_bytes);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = read(descriptor.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read", path, errno);
    if (count == 0) break;  // it shrank while we read
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

Status write_file_atomically(const fs::path& path, ByteView bytes, unsigned mode) {
  const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
  std::string temporary = path.string() + ".XXXXXX";
  Descriptor descriptor(mkostemp(temporary.data(), O_CLOEXEC));
  if (!descriptor.valid()) return system_error("create a file in", directory, errno);
  auto fail = [&](Error error) {
    unlink(temporary.c_str());
    return error;
  };
  if (Status written = write_all(descriptor.get(), bytes, path); !written.ok())
    return fail(written.error());
  if (fchmod(descriptor.get(), static_cast<mode_t>(mode)) != 0 || fsync(descriptor.get()) != 0)
    return fail(system_error("write", path, errno));
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return fail(system_error("replace", path, errno));
  return sync_directory(directory);
}

Status sync_directory(const fs::path& directory) {
  Descriptor descriptor(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor.valid() || fsync(descriptor.get()) != 0)
    return system_error("sync the directory", directory, errno);
  return {};
}

Status create_directory(const fs::path& path, unsigned mode) {
  std::error_code reason;
  if (fs::is_directory(path, reason)) return {};
  if (path.has_parent_path()) {
    fs::create_directories(path.parent_path(), reason);
    if (reason) return system_error("create the directory", path.parent_path(), reason.value());
  }
  if (mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST)
    return system_error("create the directory", path, errno);
  if (!fs::is_directory(path, reason)) return system_error("use as a directory", path, ENOTDIR);
  return {};
}

Result<FileLock> FileLock::acquire(const fs::path& path, int64_t wait_ms) {
  Descriptor descriptor(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!descriptor.valid()) return system_error("open the lock", path, errno);
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::milliseconds(wait_ms);
  while (flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) {
    if ((errno == EWOULDBLOCK || errno == EINTR) && std::chrono::steady_clock::now() < give_up) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    if (errno != EWOULDBLOCK) return system_error("lock", path, errno);
    char holder[32] = {};
    const ssize_t count = pread(descriptor.get(), holder, sizeof holder - 1, 0);
    const std::string who = count > 0 ? fmt::format("process {}", holder) : "another process";
    return make_error(ErrorCode::busy, "{} is in use by {}; wait for it to end and try again",
                      path.string(), who);
  }
  const std::string own = std::to_string(getpid());
  if (ftruncate(descriptor.get(), 0) != 0 ||
      pwrite(descriptor.get(), own.data(), own.size(), 0) != static_cast<ssize_t>(own.size())) {
    // The id is a courtesy to the next process; the lock itself is held.
  }
  return FileLock(fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0));
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

}  // namespace bauta
