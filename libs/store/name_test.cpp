#include <gtest/gtest.h>

#include "store/catalogue.h"

namespace bauta::store {
namespace {

TEST(NameTest, AcceptsWhatIsSafeInPathsAndLogs) {
  for (const char* name : {"a", "7", "Anna_Schmidt-2.b", "550e8400-e29b-41d4-a716-446655440000"})
    EXPECT_TRUE(check_name("subject", name).ok()) << name;
  EXPECT_TRUE(check_name("subject", std::string(kMaxNameBytes, 'x')).ok());
}

TEST(NameTest, FailsIfEmptyTooLongOrUnsafe) {
  using std::string_literals::operator""s;
  for (const std::string& name :
       {""s, std::string(kMaxNameBytes + 1, 'x'), "."s, ".."s, ".hidden"s, "-option"s, "_x"s,
        "a/b"s, "a b"s, "a\nb"s, "a\0b"s, "é"s, "a:b"s})
    EXPECT_EQ(check_name("subject", name).error().code, ErrorCode::invalid_argument) << name;
}

TEST(NameTest, AnErrorNamesTheKindAndDoesNotRepeatTheName) {
  const std::string message = check_name("gallery", "\x1b[31m").error().message;
  EXPECT_NE(message.find("gallery"), std::string::npos);
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace bauta::store
