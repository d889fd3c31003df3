// What the process of a role does around its work: signals, its user, and saying when it is ready.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.h"

namespace bauta::run {

// Before any thread: all share two heaps. With one for each, as glibc has it, every thread keeps
// what its largest request has needed.
void share_heaps();

// Call before any thread is started: SIGTERM and SIGINT are kept for wait_for_stop(), SIGPIPE is
// ignored.
void hold_signals();
// Returns when SIGTERM or SIGINT arrives.
void wait_for_stop();

// Tells the supervisor that this role answers, and who it is on a line of stderr when there is no
// supervisor.
void announce_ready(const std::string& what);

// Becomes the user, for good, when this process is root's; an empty name changes nothing. Errors:
// not_found.
Status become_user(const std::string& name);

// Calls work() on a thread of its own, at once and then every `period`, until it is destroyed.
class Periodically {
 public:
  Periodically(std::chrono::milliseconds period, std::function<void()> work);
  ~Periodically();
  Periodically(const Periodically&) = delete;
  Periodically& operator=(const Periodically&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable_any stopping_;
  std::jthread thread_;  // the last: it uses the above
};

// Ends the process by SIGTERM when its parent ends, however that comes about.
void end_with_parent();

}  // namespace bauta::run
