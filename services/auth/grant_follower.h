// The authentication server's own copy of the grants: fetched from the key service a few times a
// second, checked, and kept in DIRECTORY/grants, so that it holds while the key service is away and
// no older list is taken, also after a restart (docs/formats/grants.md).
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "services/grants/grants.h"
#include "services/services.h"
#include "store/catalogue.h"

namespace bauta::auth {

inline constexpr std::chrono::milliseconds kFetchGrantsEvery(250);

// Thread-safe.
class GrantFollower {
 public:
  // Begins with the copy in the directory. The key service must outlive it, and need not answer
  // yet: until it does for the first time, no edge has a grant. Whose signature counts is fixed by
  // the key service's first answer, over mutual TLS. Errors: corrupt, for a copy that is damaged;
  // those of the catalogue.
  static Result<std::unique_ptr<GrantFollower>> open(const std::filesystem::path& directory,
                                                     KeyService& keys);

  const grants::Grants& grants() const { return *grants_; }

  // Nothing where it is not known.
  std::optional<std::string> tenant_of_gallery(const std::string& gallery);
  std::optional<std::string> tenant_of_key(const std::string& key_id);

  // Fetches now. Errors: those of the connection; corrupt for what was not signed by the key
  // service that was pinned, or is older than the copy.
  Status fetch();

 private:
  GrantFollower(std::filesystem::path directory, store::Catalogue catalogue, KeyService& keys)
      : directory_(std::move(directory)), catalogue_(std::move(catalogue)), keys_(keys) {}
  Status read_pinned();
  Status pin(const v1::GetGrantsReply& reply);
  Status take(const v1::GetGrantsReply& reply);
  void fetch_regularly(const std::stop_token& stop);
  std::optional<std::string> known_tenant(const std::string& key_id);

  const std::filesystem::path directory_;
  store::Catalogue catalogue_;
  KeyService& keys_;
  std::unique_ptr<grants::Grants> grants_;
  std::mutex fetching_;
  std::mutex mutex_;  // guards what follows
  std::vector<grants::TrustedKey> signers_;
  std::map<std::string, std::string> tenants_;  // by key id
  std::string complaint_;                       // that was said last
  std::condition_variable_any stopping_;
  std::jthread thread_;  // the last: it uses all of the above
};

}  // namespace bauta::auth
