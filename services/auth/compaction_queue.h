// Galleries that are due for compaction, one after the other in the background.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace bauta::auth {

class CompactionQueue {
 public:
  // `compact` is called on a thread of the queue's own.
  explicit CompactionQueue(std::function<void(const std::string& gallery)> compact);
  // Ends what is due first.
  ~CompactionQueue();
  CompactionQueue(const CompactionQueue&) = delete;
  CompactionQueue& operator=(const CompactionQueue&) = delete;

  // Once is enough, also when it is due already.
  void add(const std::string& gallery);

 private:
  void work();

  const std::function<void(const std::string&)> compact_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::set<std::string> due_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace bauta::auth
