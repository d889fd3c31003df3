// Audit records of searches, off the path of the search: one transaction for all that come at the
// same time, and a sync that nobody waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "store/catalogue.h"

namespace bauta::store {

inline constexpr std::chrono::milliseconds kAuditSyncDelay(10);
// Callers at the same time. More than a server has requests at work.
inline constexpr size_t kMaxWaitingAudits = 1024;

// A record that append() has acknowledged survives kill -9 of the process. A loss of power may take
// those of the last kAuditSyncDelay and one sync, never one from the middle of the chain.
// Thread-safe.
class AuditLane {
 public:
  // Makes records durable; Catalogue::sync_audit but in tests of its failure.
  using Sync = std::function<Status()>;

  // The catalogue must outlive the lane, and stay where it is.
  explicit AuditLane(Catalogue& catalogue, Sync sync = {});
  // Syncs what was appended.
  ~AuditLane();
  AuditLane(const AuditLane&) = delete;
  AuditLane& operator=(const AuditLane&) = delete;

  // Returns once the record is in the catalogue's write-ahead log; waits for no sync but one that
  // another change of the catalogue makes at that moment. Errors: those of
  // Catalogue::append_audit, after which nothing was appended; busy when kMaxWaitingAudits wait
  // already; unavailable for good once a sync has failed, since records may be lost.
  Status append(const AuditEntry& entry);

 private:
  struct Waiting {
    AuditEntry entry;
    std::optional<Status> result;
  };
  void write(std::unique_lock<std::mutex>& lock);
  void sync_in_background(const std::stop_token& stop);

  Catalogue& catalogue_;
  const Sync sync_;
  std::mutex mutex_;  // guards what follows; not held while somebody writes or syncs
  std::condition_variable_any written_, sync_wanted_;
  std::vector<Waiting*> waiting_;
  bool writing_ = false;
  uint64_t transactions_ = 0;  // written
  uint64_t synced_ = 0;        // of these
  std::optional<Error> sync_error_;
  std::jthread background_;  // ends before all else
};

}  // namespace bauta::store
