#include "services/run/supervisor.h"

#include <gtest/gtest.h>

namespace bauta::run {
namespace {

std::string failure_of(const std::string& script, int64_t start_timeout_ms) {
  const Status status =
      supervise({{"key", {"/bin/sh", "-c", script}}},
                {.start_timeout_ms = start_timeout_ms, .drain_timeout_ms = 0}, [] {});
  EXPECT_FALSE(status.ok());
  return status.ok() ? "" : status.error().message;
}

TEST(SupervisorTest, SaysHowARoleFailedToStart) {
  EXPECT_EQ(failure_of("exit 3", 60'000),
            "the key role did not start: it ended with status 3 (see what it said on stderr)");
  EXPECT_EQ(failure_of("kill -9 $$", 60'000),
            "the key role did not start: it was ended by signal 9");
  EXPECT_NE(failure_of("exec sleep 60", 1000).find("is not ready after 1 s"), std::string::npos);
}

}  // namespace
}  // namespace bauta::run
