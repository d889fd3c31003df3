// What the server does to a gallery's files beside requests.
#include "base/file.h"
#include "services/auth/auth_server.h"
#include "services/contract.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCompactionWait_ms = 10'000;

}  // namespace

// --- Backups

Result<store::BackupCounts> AuthServer::export_gallery(const std::string& gallery,
                                                       const fs::path& file,
                                                       const store::BackupProgress& progress) {
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(gallery));
  return store::write_backup(catalogue_, directory_, row, file, progress);
}

Result<v1::Gallery> AuthServer::restore_gallery(const std::string& gallery, const fs::path& file,
                                                const store::BackupProgress& progress) {
  BAUTA_TRY(const store::NewGallery held, store::read_backup_gallery(file));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(held.dimension));
  BAUTA_CHECK(parse_contract(held.contract));
  BAUTA_CHECK(open_keys(held.key_id, parameters));
  BAUTA_CHECK(store::restore_backup(catalogue_, directory_, file, gallery, progress));
  BAUTA_CHECK(compact(gallery));
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(gallery));
  return describe(row);
}

// --- Compaction

void AuthServer::find_due_galleries() {
  const auto galleries = catalogue_.list_galleries();
  if (!galleries.ok()) return;
  for (const store::Gallery& gallery : *galleries) {
    const auto erasures_wait = catalogue_.erasures_wait(gallery);
    const auto set = catalogue_.segments(gallery);
    if (gallery.generation - gallery.compacted >= kCompactAfterChanges ||
        (erasures_wait.ok() && *erasures_wait) ||
        (set.ok() && store::SegmentFolder(directory_, gallery.id).has_others(set->segments)))
      compactions_.add(gallery.name);
  }
}

Result<Compaction> AuthServer::compact(const std::string& name) {
  return compact_with(name, {.wait_ms = kCompactionWait_ms});
}

Result<Compaction> AuthServer::repair(const std::string& name, const fs::path& backup) {
  return compact_with(name, {.wait_ms = kCompactionWait_ms, .repair = true, .backup = backup});
}

Result<Compaction> AuthServer::compact_with(const std::string& name,
                                            const CompactionOptions& options) {
  BAUTA_TRY(const Loaded gallery, find(name));
  BAUTA_TRY(const Compaction done,
            auth::compact(catalogue_, directory_, gallery.row, *gallery.keys, threads_, options));
  while (true) {
    BAUTA_TRY(const bool more, catalogue_.remove_former(gallery.row));
    if (!more) break;
  }
  BAUTA_CHECK(catalogue_.finish_erasures());
  return done;
}

Status AuthServer::remove_deleted_galleries() {
  // The folders first: one that is seen now belongs to a gallery that exists now or was deleted.
  std::vector<fs::path> folders;
  std::error_code reason;
  for (fs::directory_iterator entry(directory_ / "segments", reason), end; !reason && entry != end;
       entry.increment(reason))
    folders.push_back(entry->path());
  for (const fs::path& folder : folders) {
    BAUTA_TRY(const bool exists, catalogue_.has_gallery(std::atoll(folder.filename().c_str())));
    if (!exists) fs::remove_all(folder, reason);
  }
  return {};
}

}  // namespace bauta::auth
