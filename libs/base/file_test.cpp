#include "base/file.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bauta {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bauta-file-XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }
  fs::path directory_;
};

TEST_F(FileTest, WrittenBytesReadBackWithTheModeAsked) {
  const Bytes bytes = {1, 2, 3};
  const fs::path path = directory_ / "object";
  ASSERT_TRUE(write_file_atomically(path, bytes, 0600).ok());
  EXPECT_EQ(*read_file(path, 10), bytes);
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(FileTest, ReadFailsWithTheReason) {
  EXPECT_EQ(read_file(directory_ / "missing", 10).error().code, ErrorCode::not_found);
  EXPECT_EQ(read_file(directory_, 10).error().code, ErrorCode::invalid_argument);
  ASSERT_TRUE(write_file_atomically(directory_ / "large", Bytes(11)).ok());
  EXPECT_EQ(read_file(directory_ / "large", 10).error().code, ErrorCode::invalid_argument);
}

TEST_F(FileTest, AFailedWriteLeavesNothingBehind) {
  EXPECT_FALSE(write_file_atomically(directory_ / "no" / "object", Bytes(1)).ok());
  fs::create_directory(directory_ / "object");
  EXPECT_FALSE(write_file_atomically(directory_ / "object", Bytes(1)).ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
}

TEST_F(FileTest, ALockIsHeldByOneProcessAtATime) {
  const fs::path path = directory_ / "lock";
  auto first = FileLock::acquire(path);
  ASSERT_TRUE(first.ok());
  auto second = FileLock::acquire(path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::busy);
  EXPECT_NE(second.error().message.find(std::to_string(getpid())), std::string::npos);
  { FileLock released = std::move(*first); }
  EXPECT_TRUE(FileLock::acquire(path).ok());
}

}  // namespace
}  // namespace bauta
