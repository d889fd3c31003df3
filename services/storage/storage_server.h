// The storage server: keeps sealed packages, engines' logs and backups of galleries for the linkage
// server. It holds no key, so it cannot open any of them.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>

#include "services/services.h"
#include "store/sqlite.h"

namespace bauta::storage {

inline constexpr size_t kMaxPackage_bytes = size_t{65} << 20;

class StorageServer final : public StorageService {
 public:
  // Opens or creates the server's directory (docs/formats/storage.md): storage.sqlite, packages/
  // and backups/. Removes files that an interrupted change left. Errors: those of
  // store::open_catalogue.
  static Result<std::unique_ptr<StorageServer>> open(const std::filesystem::path& directory);

  Result<v1::PutPackageReply> put_package(const v1::PutPackageRequest& request) override;
  Result<v1::Package> get_package(const v1::GetPackageRequest& request) override;
  Result<v1::DeletePackageReply> delete_package(const v1::DeletePackageRequest& request) override;
  Result<v1::AppendLogReply> append_log(const v1::AppendLogRequest& request) override;
  Result<v1::FindLogReply> find_log(const v1::FindLogRequest& request) override;
  Result<v1::PutBackupReply> put_backup(const v1::PutBackupRequest& request) override;
  Result<v1::ListBackupsReply> list_backups(const v1::ListBackupsRequest& request) override;
  Result<v1::GalleryBackup> get_backup(const v1::GetBackupRequest& request) override;
  Result<v1::DeleteBackupReply> delete_backup(const v1::DeleteBackupRequest& request) override;

 private:
  StorageServer(std::filesystem::path directory, store::Connection catalogue)
      : directory_(std::move(directory)), catalogue_(std::move(catalogue)) {}

  std::filesystem::path package_path(const std::string& id) const;
  std::filesystem::path backup_path(const std::string& id) const;
  // Removes the files that the catalogue does not know.
  Status remove_strays();

  const std::filesystem::path directory_;
  std::mutex mutex_;  // of the catalogue and the files
  store::Connection catalogue_;
};

}  // namespace bauta::storage
