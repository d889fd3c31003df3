// What the operators of the platform may see of a key service: which keys there are, and whether
// its log of decisions is whole.
#pragma once

#include <filesystem>

#include "keys/key_store.h"
#include "services/services.h"

namespace bauta::key {

class Oversight final : public OversightService {
 public:
  // `directory` holds the decision log. The store must outlive this.
  Oversight(keys::KeyStore& store, std::filesystem::path directory)
      : store_(store), directory_(std::move(directory)) {}

  Result<v1::ListKeysReply> list_keys(const v1::ListKeysRequest& request) override;
  Result<v1::CheckDecisionsReply> check_decisions(
      const v1::CheckDecisionsRequest& request) override;

 private:
  keys::KeyStore& store_;
  const std::filesystem::path directory_;
};

}  // namespace bauta::key
