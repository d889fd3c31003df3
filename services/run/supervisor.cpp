#include "services/run/supervisor.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/run/process.h"

namespace bauta::run {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr Milliseconds kFirstPause(200), kLongestPause(10'000);
// A child that ran this long starts anew without a pause.
constexpr Milliseconds kStable(30'000);
constexpr Milliseconds kTick(50);

struct Running {
  const Child* child = nullptr;
  pid_t process = 0;   // 0: not running
  int end_status = 0;  // of the last process that ended, as waitpid() has it
  int ready_pipe = -1;
  Clock::time_point started, start_again;
  Milliseconds pause = kFirstPause;
};

// Clears the mask of signals that the supervisor holds, and runs the command. Does not return.
[[noreturn]] void run_child(const Child& child, int ready_pipe, pid_t parent) {
  end_with_parent();
  if (getppid() != parent) _exit(1);
  setenv("BAUTA_READY_FD", std::to_string(ready_pipe).c_str(), 1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::vector<char*> arguments;
  for (const std::string& argument : child.command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  fmt::print(stderr, "bauta: cannot run {}: {}\n", child.command[0], std::strerror(errno));
  _exit(1);
}

Status start(Running& running) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, 0) != 0)
    return make_error(ErrorCode::unavailable, "cannot make a pipe: {}", std::strerror(errno));
  fcntl(pipe_ends[0], F_SETFD, FD_CLOEXEC);
  const pid_t parent = getpid();
  const pid_t process = fork();
  if (process == 0) run_child(*running.child, pipe_ends[1], parent);
  close(pipe_ends[1]);
  if (process < 0) {
    close(pipe_ends[0]);
    return make_error(ErrorCode::unavailable, "cannot start a process: {}", std::strerror(errno));
  }
  if (running.ready_pipe >= 0) close(running.ready_pipe);
  running.ready_pipe = pipe_ends[0];
  running.process = process;
  running.started = Clock::now();
  return {};
}

bool stop_requested() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  const timespec none{};
  return sigtimedwait(&set, nullptr, &none) > 0;
}

// True when the process has ended; collects it.
bool has_ended(Running& running) {
  if (running.process == 0 ||
      waitpid(running.process, &running.end_status, WNOHANG) != running.process)
    return running.process == 0;
  running.process = 0;
  return true;
}

std::string end_of(const Running& running) {
  if (WIFSIGNALED(running.end_status))
    return fmt::format("was ended by signal {}", WTERMSIG(running.end_status));
  return fmt::format("ended with status {} (see what it said on stderr)",
                     WEXITSTATUS(running.end_status));
}

// Waits for the announcement. Result: false when a stop was requested meanwhile.
Result<bool> wait_until_ready(Running& running, Milliseconds timeout) {
  const auto deadline = Clock::now() + timeout;
  while (Clock::now() < deadline) {
    if (stop_requested()) return false;
    pollfd descriptor{running.ready_pipe, POLLIN, 0};
    if (poll(&descriptor, 1, static_cast<int>(kTick.count())) <= 0) continue;
    char byte = 0;
    if (read(running.ready_pipe, &byte, 1) == 1) return true;
    std::this_thread::sleep_for(kTick);  // closed without a word
    if (!has_ended(running)) continue;
    return make_error(ErrorCode::unavailable, "the {} role did not start: it {}",
                      running.child->name, end_of(running));
  }
  return make_error(ErrorCode::unavailable,
                    "the {} role is not ready after {} s; what it said on stderr may tell why",
                    running.child->name, timeout.count() / 1000);
}

void stop(Running& running, Milliseconds timeout) {
  if (running.process == 0) return;
  kill(running.process, SIGTERM);
  const auto deadline = Clock::now() + timeout;
  while (!has_ended(running) && Clock::now() < deadline) std::this_thread::sleep_for(kTick);
  if (running.process == 0) return;
  kill(running.process, SIGKILL);
  waitpid(running.process, nullptr, 0);
  running.process = 0;
}

// Restarts what has ended and whose pause is over.
void look_after(Running& running) {
  const bool was_running = running.process != 0;
  if (!has_ended(running)) return;
  const auto now = Clock::now();
  if (was_running) {
    if (now - running.started > kStable) running.pause = kFirstPause;
    running.start_again = now + running.pause;
    fmt::print(stderr, "bauta: the {} role {}; starting it again in {} ms\n", running.child->name,
               end_of(running), running.pause.count());
    running.pause = std::min(2 * running.pause, kLongestPause);
  }
  if (now < running.start_again) return;
  if (const Status started = start(running); !started.ok()) {
    fmt::print(stderr, "bauta: {}\n", started.error().message);
    running.start_again = now + running.pause;
  }
}

Status run_all(std::vector<Running>& all, const SupervisorOptions& options,
               const std::function<void()>& ready) {
  for (Running& running : all) {
    BAUTA_CHECK(start(running));
    BAUTA_TRY(const bool go_on, wait_until_ready(running, Milliseconds(options.start_timeout_ms)));
    if (!go_on) return {};
  }
  ready();
  while (!stop_requested()) {
    for (Running& running : all) look_after(running);
    std::this_thread::sleep_for(kTick);
  }
  return {};
}

}  // namespace

Status supervise(const std::vector<Child>& children, const SupervisorOptions& options,
                 const std::function<void()>& ready) {
  std::vector<Running> all;
  for (const Child& child : children) {
    all.emplace_back();
    all.back().child = &child;
  }
  const Status status = run_all(all, options, ready);
  // Whom devices reach first, so that the others can still answer what is at work.
  for (auto running = all.rbegin(); running != all.rend(); ++running) {
    stop(*running, Milliseconds(options.drain_timeout_ms + 2'000));
    if (running->ready_pipe >= 0) close(running->ready_pipe);
  }
  return status;
}

}  // namespace bauta::run
