#include "base/secret.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace bauta {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBytes>);
static_assert(!std::is_copy_assignable_v<SecretBytes>);

// The smaps entry of the mapping that holds `address`.
std::string mapping_flags(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::string line;
  bool inside = false;
  while (std::getline(smaps, line)) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside = begin <= wanted && wanted < end;
    if (inside && line.rfind("VmFlags:", 0) == 0) return line;
  }
  return {};
}

TEST(SecretArray, PagesAreLockedAndLeftOutOfDumpsAndForks) {
  auto secret = SecretBytes::create(100);
  ASSERT_TRUE(secret.ok()) << secret.error().message;
  const std::string flags = mapping_flags(secret->data());
  EXPECT_NE(flags.find(" lo"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" dd"), std::string::npos) << flags;
  EXPECT_NE(flags.find(" wf"), std::string::npos) << flags;
}

TEST(SecretArray, MovingLeavesTheSourceEmpty) {
  auto secret = SecretBytes::create(10);
  ASSERT_TRUE(secret.ok());
  SecretBytes moved = std::move(*secret);
  EXPECT_EQ(moved.size(), 10u);
  EXPECT_EQ(secret->data(), nullptr);
}

TEST(SecretArray, EqualityIsByContent) {
  const uint8_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_FALSE(equal_constant_time(a, b));
  EXPECT_FALSE(equal_constant_time(a, std::span(b).first(2)));
}

}  // namespace
}  // namespace bauta
