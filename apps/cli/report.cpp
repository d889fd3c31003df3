#include "apps/cli/report.h"

#include <cstdio>

#include <unistd.h>

namespace bauta::cli {

Json error_json(const Error& error) {
  return {{"error", {{"code", error_code_name(error.code)}, {"message", error.message}}}};
}

Progress::Progress(std::string_view what, uint64_t total)
    : what_(what),
      total_(total),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

Progress::~Progress() {
  if (!printed_) return;
  print(Clock::now());
  if (terminal_) fmt::print(stderr, "\n");
}

void Progress::advance(uint64_t count) {
  done_ += count;
  const auto now = Clock::now();
  const auto interval = std::chrono::milliseconds(terminal_ ? 200 : 10'000);
  if (now - start_ < std::chrono::seconds(1) || now - last_ < interval) return;
  print(now);
}

void Progress::print(Clock::time_point now) {
  static constexpr int kWidth = 30;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double share = total_ == 0 ? 1.0 : static_cast<double>(done_) / static_cast<double>(total_);
  const double left = done_ == 0 ? 0 : seconds * (1 / share - 1);
  if (terminal_) {
    const int filled = static_cast<int>(share * kWidth);
    fmt::print(stderr, "\r{} [{:#<{}}{:.<{}}] {}/{}, {:.0f} s left   ", what_, "", filled, "",
               kWidth - filled, done_, total_, left);
    std::fflush(stderr);
  } else {
    fmt::print(stderr, "{}: {}/{}, about {:.0f} s left\n", what_, done_, total_, left);
  }
  last_ = now;
  printed_ = true;
}

}  // namespace bauta::cli
