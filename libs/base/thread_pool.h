// A fixed set of threads for loops whose iterations do not depend on each other.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bauta {

// parallel_for splits [0, count) into contiguous ranges, so a result written per index is the same
// whatever the scheduling. Calls from inside a task run inline.
class ThreadPool {
 public:
  // threads >= 1; the calling thread is one of them, so ThreadPool(1) starts none.
  explicit ThreadPool(size_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  size_t size() const { return workers_.size() + 1; }

  // Calls body(begin, end) on ranges that cover [0, count); returns when all are done. The body
  // must not throw. Thread-safe: a call that finds the pool at work for another runs on its own
  // thread alone, so that short work never waits for long work.
  void parallel_for(size_t count, const std::function<void(size_t begin, size_t end)>& body);

 private:
  void work(size_t worker);

  std::mutex calls_;  // one parallel_for at a time
  std::mutex mutex_;
  std::condition_variable start_, done_;
  const std::function<void(size_t, size_t)>* body_ = nullptr;
  size_t count_ = 0;
  size_t generation_ = 0;
  size_t running_ = 0;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

// The processors this process may use (affinity and cgroup quota considered), at least 1.
size_t available_processors();

}  // namespace bauta
