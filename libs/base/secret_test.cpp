#include "base/secret.h"

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

TEST(SecretArray, IsWritableAndAlignedWhateverItsSize) {
  for (size_t size_bytes : {0u, 1u, 32u, 64u, 4095u, 4096u, 4097u, 20000u}) {
    auto secret = SecretBytes::create(size_bytes);
    ASSERT_TRUE(secret.ok()) << secret.error().message;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(secret->data()) % 64, 0u);
    for (uint8_t& byte : secret->span()) byte = 0xA5;
  }
}

TEST(SecretArrayDeathTest, TouchingThePagesAroundStopsTheProcess) {
  auto secret = SecretBytes::create(64);
  ASSERT_TRUE(secret.ok());
  volatile uint8_t* end = secret->data() + 64;
  volatile uint8_t* guard_before = secret->data() + 64 - 2 * 4096;
  EXPECT_DEATH(*end = 1, "");
  EXPECT_DEATH(*guard_before = 1, "");
}

TEST(HardenProcess, LeavesNoWayToDumpOrTrace) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    struct rlimit core {};
    const bool hardened = harden_process().ok() && prctl(PR_GET_DUMPABLE) == 0 &&
                          getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0;
    _exit(hardened ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(SecretArray, EqualityIsByContent) {
  const uint8_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
  EXPECT_TRUE(equal_constant_time(a, a));
  EXPECT_FALSE(equal_constant_time(a, b));
  EXPECT_FALSE(equal_constant_time(a, std::span(b).first(2)));
}

}  // namespace
}  // namespace bauta
