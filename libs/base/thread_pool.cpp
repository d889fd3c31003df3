#include "base/thread_pool.h"

#include <fstream>
#include <string>

#include <sched.h>

#include "base/result.h"

namespace bauta {
namespace {

thread_local bool inside_task = false;

size_t range_begin(size_t count, size_t part, size_t parts) {
  return count * part / parts;
}

}  // namespace

ThreadPool::ThreadPool(size_t threads) {
  BAUTA_ASSERT(threads >= 1);
  workers_.reserve(threads - 1);
  for (size_t worker = 1; worker < threads; ++worker)
    workers_.emplace_back([this, worker] { work(worker); });
}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(size_t count,
                              const std::function<void(size_t begin, size_t end)>& body) {
  if (count == 0) return;
  std::unique_lock call(calls_, std::defer_lock);
  if (workers_.empty() || count == 1 || inside_task || !call.try_lock()) {
    body(0, count);
    return;
  }
  {
    std::lock_guard lock(mutex_);
    body_ = &body;
    count_ = count;
    running_ = workers_.size();
    ++generation_;
  }
  start_.notify_all();
  inside_task = true;
  body(0, range_begin(count, 1, size()));
  inside_task = false;
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return running_ == 0; });
}

void ThreadPool::work(size_t worker) {
  inside_task = true;
  size_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    start_.wait(lock, [&] { return stop_ || generation_ != seen; });
    if (stop_) return;
    seen = generation_;
    const size_t begin = range_begin(count_, worker, size());
    const size_t end = range_begin(count_, worker + 1, size());
    const auto& body = *body_;
    lock.unlock();
    if (begin < end) body(begin, end);
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

size_t available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  size_t processors = 1;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    processors = static_cast<size_t>(CPU_COUNT(&set));
  std::ifstream quota_file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quota_file >> quota >> period && quota != "max" && period > 0) {
    const auto allowed = static_cast<size_t>(std::stod(quota) / period + 0.999);
    if (allowed >= 1 && allowed < processors) processors = allowed;
  }
  return processors < 1 ? 1 : processors;
}

}  // namespace bauta
