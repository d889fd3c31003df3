// Budgets that warn and renew by themselves: looks at the active keys now and then, says when a
// budget nears its end, stops an edge that burns one, and rotates a key before its end
// (docs/operations/limits.md).
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "services/key/key_server.h"

namespace bauta::key {

// Shares of a budget at which an operator is warned.
inline constexpr double kWarnAt[] = {0.5, 0.8, 0.95};
// A key rotates by itself from this share on, ...
inline constexpr double kRotateAt = 0.8;
// ... at most this often, ...
inline constexpr std::chrono::hours kRotateEvery(7 * 24);
// ... and an edge that has used up this share of a budget which others use too is stopped instead.
inline constexpr double kGreedyEdge = 0.5;

class Upkeep {
 public:
  // A sentence for an operator.
  using Warn = std::function<void(const std::string&)>;

  // `server` must outlive it. Looks at once, and then every `period` until it ends.
  Upkeep(KeyServer& server, Warn warn, std::chrono::milliseconds period);
  ~Upkeep();

  // Of the active key whose budget is used up most, 0 to 1 and beyond.
  double fullest() const { return fullest_; }
  // Whether every active key can be used and has budget left, as of the last look. Error
  // unavailable.
  Status ready() const;

 private:
  void look();
  void look_at(const keys::KeyRecord& key);
  // Whether the key may rotate by itself now; says why not, once.
  bool may_rotate(const keys::KeyRecord& key, const KeyUsage& usage);
  // Once for each thing that it is about, or each sentence.
  void warn_once(const std::string& about, const std::string& sentence);
  void warn_once(const std::string& sentence);

  KeyServer& server_;
  const Warn warn_;
  std::atomic<double> fullest_ = 0;
  mutable std::mutex mutex_;  // guards state_
  Status state_;
  std::set<std::string> said_;  // by the thread alone
  std::condition_variable_any stopping_;
  std::jthread thread_;  // the last: it uses all of the above
};

}  // namespace bauta::key
