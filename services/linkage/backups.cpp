#include "services/linkage/backups.h"

#include <algorithm>

namespace bauta::linkage {
namespace {

constexpr int64_t kLookEvery_ms = 60'000;

}  // namespace

Result<std::map<std::string, std::string>> Backups::back_up() {
  BAUTA_TRY(const std::vector<std::string> galleries, galleries_());
  std::map<std::string, std::string> ids;
  for (const std::string& gallery : galleries) {
    std::lock_guard lock(mutex_);
    BAUTA_TRY(ids[gallery], store(gallery, schedule_.kept));
  }
  return ids;
}

void Backups::back_up_if_due(int64_t time_ms) {
  if (schedule_.interval_ms == 0 ||
      time_ms < looked_ms_ + std::min(schedule_.interval_ms, kLookEvery_ms))
    return;
  looked_ms_ = time_ms;
  const Status done = back_up_due(time_ms);
  std::lock_guard lock(state_mutex_);
  state_.error = done.ok() ? "" : done.error().message;
  if (done.ok()) return;
  state_.failed_ms = time_ms;
  fmt::print(stderr, "bauta: cannot back up engine {}: {}\n", engine_, state_.error);
}

Status Backups::back_up_due(int64_t time_ms) {
  BAUTA_TRY(const std::vector<std::string> galleries, galleries_());
  Status all;  // one that fails must not keep the others from it
  for (const std::string& gallery : galleries) {
    std::lock_guard lock(mutex_);
    const Result<bool> due = is_due(gallery, time_ms);
    if (!due.ok()) return due.error();
    if (!*due) continue;
    if (const auto id = store(gallery, schedule_.kept); !id.ok()) all = id.error();
  }
  return all;
}

Result<bool> Backups::is_due(const std::string& gallery, int64_t time_ms) {
  BAUTA_TRY(const v1::ListBackupsReply stored, list(gallery));
  return stored.backups().empty() ||
         stored.backups(0).created_at_ms() + schedule_.interval_ms <= time_ms;
}

BackupState Backups::state() const {
  std::lock_guard lock(state_mutex_);
  return state_;
}

Result<std::string> Backups::store(const std::string& gallery, size_t kept) {
  v1::ExportGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_TRY(v1::GalleryBackup backup, collection_.export_gallery(request));
  v1::PutBackupRequest put;
  put.set_engine(stored_name(gallery));
  put.set_file(std::move(*backup.mutable_file()));
  BAUTA_TRY(const v1::PutBackupReply reply, storage_.put_backup(put));
  BAUTA_CHECK(prune(gallery, kept));
  return reply.id();
}

Status Backups::prune(const std::string& gallery, size_t kept) {
  BAUTA_TRY(const v1::ListBackupsReply stored, list(gallery));
  for (int i = static_cast<int>(kept); i < stored.backups_size(); ++i) {
    v1::DeleteBackupRequest removal;
    removal.set_engine(stored_name(gallery));
    removal.set_id(stored.backups(i).id());
    const auto removed = storage_.delete_backup(removal);
    if (!removed.ok() && removed.error().code != ErrorCode::not_found) return removed.error();
  }
  return {};
}

Status Backups::replace(const std::string& gallery) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(const v1::ListBackupsReply stored, list(gallery));
  if (stored.backups().empty()) return {};
  BAUTA_CHECK(store(gallery, 1));
  return {};
}

Result<v1::ListBackupsReply> Backups::list(const std::string& gallery) {
  v1::ListBackupsRequest request;
  request.set_engine(stored_name(gallery));
  return storage_.list_backups(request);
}

Result<v1::GalleryBackup> Backups::read(const std::string& gallery, const std::string& id) {
  v1::GetBackupRequest request;
  request.set_engine(stored_name(gallery));
  request.set_id(id);
  return storage_.get_backup(request);
}

}  // namespace bauta::linkage
