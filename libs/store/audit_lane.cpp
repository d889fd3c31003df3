#include "store/audit_lane.h"

#include "store/state.h"

namespace bauta::store {
namespace {

// A transaction writes some 4 pages into the log, and SQLite lets it grow to 1000.
constexpr uint64_t kTransactionsPerCheckpoint = 250;

}  // namespace

AuditLane::AuditLane(Catalogue& catalogue, Sync sync)
    : catalogue_(catalogue),
      sync_(sync ? std::move(sync) : [&catalogue] { return catalogue.sync_audit(); }),
      background_([this](const std::stop_token& stop) { sync_in_background(stop); }) {}

AuditLane::~AuditLane() = default;

Status AuditLane::append(const AuditEntry& entry) {
  BAUTA_CHECK(check_audit_entry(entry));
  Waiting own{entry, std::nullopt};
  std::unique_lock lock(mutex_);
  if (sync_error_) return *sync_error_;
  if (waiting_.size() >= kMaxWaitingAudits)
    return make_error(ErrorCode::busy,
                      "{} audit records wait for the catalogue already; try again, and look at the "
                      "disk of the authentication server if this lasts",
                      waiting_.size());
  waiting_.push_back(&own);
  while (!own.result)
    if (writing_)
      written_.wait(lock);
    else
      write(lock);
  return *own.result;
}

// Writes for everybody who waits.
void AuditLane::write(std::unique_lock<std::mutex>& lock) {
  std::vector<Waiting*> batch;
  batch.swap(waiting_);
  writing_ = true;
  lock.unlock();
  std::vector<AuditEntry> entries;
  for (const Waiting* waiting : batch) entries.push_back(waiting->entry);
  const Status status = catalogue_.append_audit_unsynced(entries);
  lock.lock();
  writing_ = false;
  for (Waiting* waiting : batch) waiting->result = status;
  if (status.ok()) ++transactions_;
  written_.notify_all();
  sync_wanted_.notify_one();
}

void AuditLane::sync_in_background(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  uint64_t shortened = 0;  // as of this many transactions
  while (true) {
    sync_wanted_.wait(lock, stop, [&] { return transactions_ > synced_; });
    sync_wanted_.wait_for(lock, stop, kAuditSyncDelay, [] { return false; });
    const uint64_t written = transactions_;
    if (written == synced_) return;  // told to stop, and nothing is left
    lock.unlock();
    const Status synced = sync_();
    lock.lock();
    if (!synced.ok()) {
      sync_error_ = make_error(
          ErrorCode::unavailable,
          "audit records of searches may be lost, so nobody is searched for any more: {}; put the "
          "disk in order, restart the machine, and then the authentication server",
          synced.error().message);
      return;
    }
    synced_ = written;
    if (written - shortened < kTransactionsPerCheckpoint) continue;
    shortened = written;
    lock.unlock();
    (void)catalogue_.shorten_log();  // it grows until the next one
    lock.lock();
  }
}

}  // namespace bauta::store
