// Shared by the tests of the catalogue.
#pragma once

#include <filesystem>
#include <functional>
#include <random>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/catalogue.h"

namespace bauta::store {

class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent = testing::TempDir()) {
    std::string pattern = parent + "/bauta-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A file system in memory where there is one: for tests that write much and need no disk.
inline std::string memory_directory() {
  return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : testing::TempDir();
}

// Stands for a reference ciphertext: bytes without structure, the same for the same seed.
inline Bytes original_bytes(uint64_t seed, size_t size_bytes = 1000) {
  std::mt19937_64 generator(seed);
  Bytes bytes(size_bytes);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator());
  return bytes;
}

// As large as a real one: two polynomials of 4,096 coefficients of 60 bits.
inline constexpr size_t kRealOriginalBytes = 2 * 4096 * 60 / 8;

inline NewGallery new_gallery(std::string name = "doors") {
  return {std::move(name), "key-1", "an embedding contract", 128};
}

// Runs `body` in a child process and returns what it returns: empty when all is well, otherwise
// what went wrong. The child leaves without running destructors.
inline std::string in_child_process(const std::function<std::string()>& body) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    const std::string finding = body();
    const auto written = write(ends[1], finding.data(), finding.size());
    _exit(written == static_cast<ssize_t>(finding.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string finding;
  char piece[4096];
  for (ssize_t count; (count = read(ends[0], piece, sizeof piece)) > 0;)
    finding.append(piece, static_cast<size_t>(count));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (finding.empty() && status != 0) return fmt::format("the child ended with status {}", status);
  return finding;
}

class CatalogueTest : public testing::Test {
 protected:
  explicit CatalogueTest(const std::string& parent = testing::TempDir()) : directory_(parent) {}
  Catalogue open(OpenOptions options = {}) {
    auto catalogue = Catalogue::open(path(), options);
    EXPECT_TRUE(catalogue.ok()) << catalogue.error().message;
    return std::move(catalogue).value();
  }
  std::filesystem::path path() const { return directory_.path() / "catalogue.db"; }
  TemporaryDirectory directory_;
};

}  // namespace bauta::store
