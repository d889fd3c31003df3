#include "services/key/public_keys.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

class PublicKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-public-keys-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }

  PublicKeys open() const { return PublicKeys::open(directory_).value(); }
  static keys::KeyId id(uint8_t number) {
    keys::KeyId id{};
    id[0] = number;
    return id;
  }
  static v1::EvaluationKeys keys_of(const std::string& text) {
    v1::EvaluationKeys keys;
    keys.set_galois_keys(text + std::string(100'000, 'g'));
    keys.set_relinearization_key("relinearisation of " + text);
    return keys;
  }
  fs::path file(uint8_t number, size_t dimension) const {
    return directory_ / "public" / fmt::format("{}.{}", to_hex(id(number)), dimension);
  }

  fs::path directory_;
};

TEST_F(PublicKeysTest, FindsWhatWasPutAlsoAfterARestart) {
  const v1::EvaluationKeys keys = keys_of("one");
  {
    const PublicKeys files = open();
    EXPECT_EQ(files.find(id(1), 128).error().code, ErrorCode::not_found);
    ASSERT_TRUE(files.put(id(1), 128, keys).ok());
  }
  const auto found = open().find(id(1), 128);
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->galois_keys(), keys.galois_keys());
  EXPECT_EQ(found->relinearization_key(), keys.relinearization_key());
  EXPECT_EQ(fs::status(file(1, 128)).permissions(), fs::perms(0600));
  EXPECT_EQ(open().find(id(1), 512).error().code, ErrorCode::not_found);
  EXPECT_EQ(open().find(id(2), 128).error().code, ErrorCode::not_found);
}

TEST_F(PublicKeysTest, DamagedFilesAreNotFoundAndCanBeReplaced) {
  const PublicKeys files = open();
  ASSERT_TRUE(files.put(id(1), 128, keys_of("one")).ok());
  const Bytes good = read_file(file(1, 128), 1 << 20).value();
  const auto write = [&](ByteView bytes) {
    ASSERT_TRUE(write_file_atomically(file(1, 128), bytes, 0600).ok());
  };
  for (const size_t place : {size_t{0}, size_t{31}, size_t{32}, size_t{48}, size_t{52},
                             good.size() / 2, good.size() - 1}) {
    Bytes changed = good;
    changed[place] ^= 1;
    write(changed);
    EXPECT_EQ(files.find(id(1), 128).error().code, ErrorCode::not_found) << place;
  }
  for (const size_t size : {size_t{0}, size_t{20}, size_t{51}, good.size() - 1}) {
    write(ByteView(good).first(size));
    EXPECT_EQ(files.find(id(1), 128).error().code, ErrorCode::not_found) << size;
  }
  ASSERT_TRUE(files.put(id(1), 128, keys_of("two")).ok());
  EXPECT_EQ(files.find(id(1), 128)->galois_keys(), keys_of("two").galois_keys());
}

TEST_F(PublicKeysTest, AFileUnderAnotherNameIsNotFound) {
  const PublicKeys files = open();
  ASSERT_TRUE(files.put(id(1), 128, keys_of("one")).ok());
  fs::copy(file(1, 128), file(2, 128));
  fs::copy(file(1, 128), file(1, 256));
  EXPECT_EQ(files.find(id(2), 128).error().code, ErrorCode::not_found);
  EXPECT_EQ(files.find(id(1), 256).error().code, ErrorCode::not_found);
}

TEST_F(PublicKeysTest, RemovesEveryDimensionOfOneKey) {
  const PublicKeys files = open();
  for (const size_t dimension : {128, 512})
    for (const uint8_t key : {uint8_t{1}, uint8_t{2}})
      ASSERT_TRUE(files.put(id(key), dimension, keys_of("any")).ok());
  ASSERT_TRUE(files.remove(id(1)).ok());
  ASSERT_TRUE(files.remove(id(3)).ok());
  for (const size_t dimension : {128, 512}) {
    EXPECT_EQ(files.find(id(1), dimension).error().code, ErrorCode::not_found);
    EXPECT_TRUE(files.find(id(2), dimension).ok());
  }
}

}  // namespace
}  // namespace bauta::key
