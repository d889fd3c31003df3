// What the linkage server collects: the audit log and whole galleries, as encrypted as they are.
// Reads beside the authentication server, over a connection of its own to the same catalogue.
#pragma once

#include <filesystem>
#include <memory>

#include "services/services.h"
#include "store/catalogue.h"

namespace bauta::auth {

class Collection final : public CollectionService {
 public:
  // `directory`: the authentication server's, after AuthServer::open. Removes what an interrupted
  // export left. Errors: those of the catalogue.
  static Result<std::unique_ptr<Collection>> open(const std::filesystem::path& directory);

  Result<v1::ReadLogReply> read_log(const v1::ReadLogRequest& request) override;
  // Error no_space: the backup is larger than the storage server takes.
  Result<v1::GalleryBackup> export_gallery(const v1::ExportGalleryRequest& request) override;

 private:
  Collection(std::filesystem::path directory, store::Catalogue catalogue)
      : directory_(std::move(directory)), catalogue_(std::move(catalogue)) {}

  const std::filesystem::path directory_;
  store::Catalogue catalogue_;
};

}  // namespace bauta::auth
