#include "keys/pin.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

std::string text_of(const SecretBytes& secret) {
  return {reinterpret_cast<const char*>(secret.data()), secret.size()};
}

Result<SecretBytes> read_pin(const std::string& source) {
  BAUTA_TRY(const PinSource parsed, PinSource::parse(source));
  return parsed.read();
}

void write_file(const std::filesystem::path& path, const std::string& content, mode_t mode) {
  std::ofstream(path) << content;
  chmod(path.c_str(), mode);
}

TEST(PinSource, IsRefusedUnlessItNamesASource) {
  for (const char* text : {"", "1234", "pin:1234", "env:", "fd:", "fd:-1", "fd:3x", "fd:1.5",
                           "file:", "credential:", "credential:../pin", "ENV:NAME"}) {
    const auto source = PinSource::parse(text);
    ASSERT_FALSE(source.ok()) << text;
    EXPECT_EQ(source.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(source.error().message.find("1234"), std::string::npos) << "repeats the PIN";
  }
}

TEST(PinSource, FileIsReadWithoutItsLineEnd) {
  const TemporaryDirectory directory;
  for (const char* content : {"12345678", "12345678\n", "12345678\r\n"}) {
    write_file(directory.path() / "pin", content, 0600);
    auto pin = read_pin("file:" + (directory.path() / "pin").string());
    ASSERT_TRUE(pin.ok()) << pin.error().message;
    EXPECT_EQ(text_of(*pin), "12345678");
  }
}

TEST(PinSource, FileThatOthersMayReadIsRefused) {
  const TemporaryDirectory directory;
  for (mode_t mode : {0640u, 0604u, 0644u}) {
    write_file(directory.path() / "pin", "12345678", mode);
    auto pin = read_pin("file:" + (directory.path() / "pin").string());
    ASSERT_FALSE(pin.ok());
    EXPECT_EQ(pin.error().code, ErrorCode::refused);
  }
}

TEST(PinSource, PinsTooShortOrTooLongAreRefusedWithoutShowingThem) {
  const TemporaryDirectory directory;
  for (const std::string& content : {std::string("123"), std::string("\n\n\n\n\n"), std::string(),
                                     std::string(256, '7'), std::string(100'000, '7')}) {
    write_file(directory.path() / "pin", content, 0600);
    auto pin = read_pin("file:" + (directory.path() / "pin").string());
    ASSERT_FALSE(pin.ok());
    EXPECT_EQ(pin.error().code, ErrorCode::invalid_argument);
    EXPECT_EQ(pin.error().message.find("777"), std::string::npos);
  }
  write_file(directory.path() / "pin", std::string(255, '7') + "\r\n", 0600);
  EXPECT_TRUE(read_pin("file:" + (directory.path() / "pin").string()).ok());
}

TEST(PinSource, WhatIsAbsentIsNamed) {
  unsetenv("CREDENTIALS_DIRECTORY");
  for (const char* text : {"file:/nonexistent/pin", "env:BAUTA_TEST_NO_SUCH", "credential:pin"}) {
    auto pin = read_pin(text);
    ASSERT_FALSE(pin.ok());
    EXPECT_EQ(pin.error().code, ErrorCode::not_found);
    EXPECT_NE(pin.error().message.find(text), std::string::npos) << pin.error().message;
  }
  EXPECT_FALSE(read_pin("fd:999").ok());
}

TEST(PinSource, EnvironmentVariableIsGoneOnceRead) {
  setenv("BAUTA_TEST_PIN", "12345678", 1);
  const char* value = std::getenv("BAUTA_TEST_PIN");
  auto pin = read_pin("env:BAUTA_TEST_PIN");
  ASSERT_TRUE(pin.ok());
  EXPECT_EQ(text_of(*pin), "12345678");
  EXPECT_EQ(std::getenv("BAUTA_TEST_PIN"), nullptr);
  EXPECT_EQ(std::string(value, 8), std::string(8, '\0')) << "stays in /proc/PID/environ";
}

TEST(PinSource, CredentialIsReadFromItsDirectory) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "token-pin", "12345678\n", 0440);
  setenv("CREDENTIALS_DIRECTORY", directory.path().c_str(), 1);
  auto pin = read_pin("credential:token-pin");
  unsetenv("CREDENTIALS_DIRECTORY");
  ASSERT_TRUE(pin.ok()) << pin.error().message;
  EXPECT_EQ(text_of(*pin), "12345678");
}

TEST(PinSource, DescriptorIsReadOnceAndClosed) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  ASSERT_EQ(write(pipe_ends[1], "1234", 4), 4);
  ASSERT_EQ(write(pipe_ends[1], "5678\n", 5), 5);
  close(pipe_ends[1]);
  auto pin = read_pin("fd:" + std::to_string(pipe_ends[0]));
  ASSERT_TRUE(pin.ok()) << pin.error().message;
  EXPECT_EQ(text_of(*pin), "12345678");
  EXPECT_EQ(fcntl(pipe_ends[0], F_GETFD), -1);
}

}  // namespace
}  // namespace bauta::keys
