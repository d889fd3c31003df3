#include "services/auth/compaction_queue.h"

namespace bauta::auth {

CompactionQueue::CompactionQueue(std::function<void(const std::string&)> compact)
    : compact_(std::move(compact)), thread_([this] { work(); }) {}

CompactionQueue::~CompactionQueue() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void CompactionQueue::add(const std::string& gallery) {
  {
    std::lock_guard lock(mutex_);
    due_.insert(gallery);
  }
  changed_.notify_all();
}

void CompactionQueue::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || !due_.empty(); });
    if (due_.empty()) return;
    const std::string gallery = std::move(due_.extract(due_.begin()).value());
    lock.unlock();
    compact_(gallery);
    lock.lock();
  }
}

}  // namespace bauta::auth
