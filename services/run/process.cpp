#include "services/run/process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace bauta::run {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void share_heaps() {
  mallopt(M_ARENA_MAX, 2);
}

void hold_signals() {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

void wait_for_stop() {
  const sigset_t set = stop_signals();
  int signal = 0;
  while (sigwait(&set, &signal) != 0) {
  }
}

void announce_ready(const std::string& what) {
  const char* const descriptor = std::getenv("BAUTA_READY_FD");
  if (descriptor == nullptr) {
    fmt::print(stderr, "bauta: {} is ready\n", what);
    return;
  }
  const int fd = std::atoi(descriptor);
  const std::string line = what + "\n";
  // A supervisor that is gone has no use for it.
  [[maybe_unused]] const ssize_t ignored = write(fd, line.data(), line.size());
  close(fd);
  unsetenv("BAUTA_READY_FD");
}

Status become_user(const std::string& name) {
  if (name.empty() || geteuid() != 0) return {};
  errno = 0;
  const passwd* const user = getpwnam(name.c_str());
  if (user == nullptr)
    return make_error(ErrorCode::not_found, "there is no user {} on this machine", name);
  const uid_t uid = user->pw_uid;
  const gid_t gid = user->pw_gid;
  if (initgroups(name.c_str(), gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0 || setuid(0) == 0)
    return make_error(ErrorCode::unavailable, "cannot become user {}: {}", name,
                      std::strerror(errno));
  return {};
}

Periodically::Periodically(std::chrono::milliseconds period, std::function<void()> work)
    : thread_([this, period, work = std::move(work)](const std::stop_token& stop) {
        std::unique_lock lock(mutex_);
        do {
          work();
        } while (!stopping_.wait_for(lock, stop, period, [&] { return stop.stop_requested(); }));
      }) {}

Periodically::~Periodically() {
  thread_.request_stop();
  thread_.join();
}

void end_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
}

}  // namespace bauta::run
