// The key service's list of grants: kept in DIRECTORY/grants, signed in the token, and every change
// of it on record in the decision log, which also remembers that there is a list and its number.
#pragma once

#include <filesystem>
#include <functional>

#include "bauta/v1/key.pb.h"
#include "keys/key_store.h"
#include "services/grants/grants.h"
#include "services/key/ledger.h"

namespace bauta::key {

// Signing keys as services/grants wants them.
Result<std::vector<grants::TrustedKey>> trusted_keys(keys::KeyStore& store);

// Thread-safe, and safe between processes on one machine: what another one changes is seen within
// grants::kGrantsFollow_ms.
class GrantBook {
 public:
  // Store and ledger must outlive it. Errors: corrupt, for a list that is missing though one is on
  // record, damaged, not signed by the token, or older than the one on record.
  static Result<std::unique_ptr<GrantBook>> open(keys::KeyStore& store, Ledger& ledger,
                                                 const std::filesystem::path& directory);

  const grants::Grants& grants() const { return *grants_; }

  // Gives the right, durably and on record; `number` is set here. Errors: invalid_argument;
  // refused, for an edge that was revoked; those of the token.
  Status give(const grants::Grant& grant);
  // Ends grants; empty texts mean any. Returns those that were ended. Error not_found: none was.
  Result<std::vector<grants::Grant>> take(const std::string& edge, const std::string& tenant = {},
                                          const std::string& gallery = {});
  // Refuses the edge everything, for ever. Fine if it was revoked.
  Status revoke(const std::string& edge);

  // What an edge has without being given it: gives it all of these, which are of one edge, unless
  // that edge was ever given anything, or was revoked. Returns whether it did.
  Result<bool> give_first(const std::vector<grants::Grant>& of_edge);

  // For a key service from before there were grants; otherwise nothing. Every edge that has had its
  // key delivered (services/key/edge_keys.h) gets all rights on the galleries of that key's tenant,
  // and edges that were revoked stay so. At once, on record, and said on stderr.
  Status take_over_deliveries();

 private:
  struct Change {
    bool changed = false;
    std::vector<LogEntry> entries;
  };
  GrantBook(keys::KeyStore& store, Ledger& ledger, std::filesystem::path directory)
      : store_(store), ledger_(ledger), directory_(std::move(directory)) {}
  // Lets change(list) work on the newest list, which has its new number already; no other thread
  // or process changes it meanwhile.
  Status update(const std::function<Result<Change>(grants::GrantList&)>& change);
  Status record(std::vector<LogEntry> entries);

  keys::KeyStore& store_;
  Ledger& ledger_;
  const std::filesystem::path directory_;
  std::unique_ptr<grants::Grants> grants_;
};

// What the authentication server is told: the list if it is newer than what was asked for, whose
// signature counts, and of which tenant each key is.
Result<v1::GetGrantsReply> make_grants_reply(keys::KeyStore& store, const GrantBook& book,
                                             const v1::GetGrantsRequest& request);

}  // namespace bauta::key
