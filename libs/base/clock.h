// The time of day, for what is kept or sent. It may jump: durations are measured by steady clocks.
#pragma once

#include <chrono>
#include <cstdint>

namespace bauta {

// Seconds since 1970 UTC, rounded down.
inline int64_t now_s() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

// Milliseconds since 1970 UTC, rounded down.
inline int64_t now_ms() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace bauta
