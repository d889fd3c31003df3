// Shared by the tests of the catalogue.
#pragma once

#include <filesystem>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "store/catalogue.h"

namespace bauta::store {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = testing::TempDir() + "bauta-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

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

class CatalogueTest : public testing::Test {
 protected:
  Catalogue open(OpenOptions options = {}) {
    auto catalogue = Catalogue::open(path(), options);
    EXPECT_TRUE(catalogue.ok()) << catalogue.error().message;
    return std::move(catalogue).value();
  }
  std::filesystem::path path() const { return directory_.path() / "catalogue.db"; }
  TemporaryDirectory directory_;
};

}  // namespace bauta::store
