// One process per role on one machine: starts them in order, restarts what ends by itself with
// growing pauses, and stops them in the reverse order.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace bauta::run {

struct Child {
  std::string name;
  std::vector<std::string> command;  // its program first, by path
};

struct SupervisorOptions {
  int64_t start_timeout_ms = 120'000;  // the first start makes keys
  int64_t drain_timeout_ms = 10'000;
};

// Runs until SIGTERM or SIGINT, for which hold_signals() must have been called; then stops all.
// Calls ready() once, when every child has announced itself. Errors: what a child that cannot even
// start for the first time ended with stands on stderr; the others are stopped.
Status supervise(const std::vector<Child>& children, const SupervisorOptions& options,
                 const std::function<void()>& ready);

}  // namespace bauta::run
