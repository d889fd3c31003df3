// The backups of one engine's galleries at the storage server: made on demand and on schedule, the
// oldest removed, and replaced when somebody is erased.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "services/services.h"

namespace bauta::linkage {

struct BackupSchedule {
  int64_t interval_ms = 0;  // a gallery's newest backup gets no older; 0: only on demand
  size_t kept = 7;          // of each gallery
};

// How the schedule goes.
struct BackupState {
  int64_t failed_ms = 0;  // when it failed last; 0: not since the start
  std::string error;      // why; empty once it went well again
};

// Thread-safe.
class Backups {
 public:
  // Names of the galleries that the engine has by now.
  using ListGalleries = std::function<Result<std::vector<std::string>>()>;

  // The services must outlive this.
  Backups(std::string engine, ListGalleries galleries, CollectionService& collection,
          StorageService& storage, BackupSchedule schedule)
      : engine_(std::move(engine)),
        galleries_(std::move(galleries)),
        collection_(collection),
        storage_(storage),
        schedule_(schedule) {}

  const BackupSchedule& schedule() const { return schedule_; }

  // Of all galleries now; returns the new backups' ids by gallery.
  Result<std::map<std::string, std::string>> back_up();
  // Of those whose newest backup is older than the interval, or that have none. Looks again after a
  // minute at the earliest, or the interval if that is shorter. Says failures on stderr. For one
  // thread at a time.
  void back_up_if_due(int64_t time_ms);
  BackupState state() const;

  // Stores one that no longer holds what was erased, and deletes those before it, if there are any.
  Status replace(const std::string& gallery);

  Result<v1::ListBackupsReply> list(const std::string& gallery);
  Result<v1::GalleryBackup> read(const std::string& gallery, const std::string& id);

 private:
  // Under which the storage server keeps them.
  std::string stored_name(const std::string& gallery) const { return engine_ + "." + gallery; }
  // And deletes all but the newest `kept`. The caller holds mutex_. Returns the backup's id.
  Result<std::string> store(const std::string& gallery, size_t kept);
  // Deletes all but the newest so many.
  Status prune(const std::string& gallery, size_t kept);
  Result<bool> is_due(const std::string& gallery, int64_t time_ms);
  Status back_up_due(int64_t time_ms);

  const std::string engine_;
  const ListGalleries galleries_;
  CollectionService& collection_;
  StorageService& storage_;
  const BackupSchedule schedule_;

  std::mutex mutex_;  // no backup is begun before an erasure and stored after it
  mutable std::mutex state_mutex_;
  BackupState state_;
  int64_t looked_ms_ = 0;  // of back_up_if_due() alone, which one thread calls
};

}  // namespace bauta::linkage
