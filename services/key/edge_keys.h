// Delivery of edges' own keys: once each, and that is on record before the secret leaves.
#pragma once

#include <filesystem>
#include <mutex>

#include "keys/key_store.h"
#include "services/services.h"

namespace bauta::key {

class EdgeKeyServer final : public EdgeKeyService {
 public:
  // `directory` keeps the record of deliveries, one empty file KEY_ID.EDGE_ID each, and of edges
  // that were revoked, one empty file revoked/EDGE_ID each. The store must outlive the server.
  static Result<std::unique_ptr<EdgeKeyServer>> open(keys::KeyStore& store,
                                                     const std::filesystem::path& directory);

  Result<v1::ActiveKey> get_active_key(const v1::GetActiveKeyRequest& request) override;
  Result<v1::EdgeKey> get_edge_key(const v1::GetEdgeKeyRequest& request) override;

 private:
  EdgeKeyServer(keys::KeyStore& store, std::filesystem::path directory)
      : store_(store), directory_(std::move(directory)) {}

  keys::KeyStore& store_;
  std::filesystem::path directory_;
  std::mutex mutex_;  // of deliveries
};

// Delivers no key to the edge from now on; a running server notices.
Status refuse_deliveries(const std::filesystem::path& directory, const std::string& edge_id);

// Lets the edge have its keys once more, after it lost them. Returns how many deliveries were on
// record.
Result<size_t> forget_deliveries(const std::filesystem::path& directory,
                                 const std::string& edge_id);

}  // namespace bauta::key
