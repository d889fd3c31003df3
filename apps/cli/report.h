// What a command answers: one JSON document, its text for people, and the exit code.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace bauta::cli {

using Json = nlohmann::ordered_json;

// Persistent: scripts depend on them.
enum ExitCode : int { kYes = 0, kNo = 1, kBadUsage = 2 };

struct Report {
  Json json;         // printed with --json
  std::string text;  // printed without; ends with a newline unless empty
  int exit_code = kYes;
};

// {"error": {"code", "message"}}, for a command that failed as a whole.
Json error_json(const Error& error);

// A line of progress on stderr for work of known length: a bar on a terminal, a line every ten
// seconds elsewhere, nothing when it ends within a second.
class Progress {
 public:
  Progress(std::string_view what, uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(uint64_t count = 1);

 private:
  using Clock = std::chrono::steady_clock;
  void print(Clock::time_point now);

  std::string what_;
  uint64_t total_;
  uint64_t done_ = 0;
  bool terminal_;
  bool printed_ = false;
  Clock::time_point start_, last_;
};

}  // namespace bauta::cli
