// The key service: the only party that can decrypt, and it decrypts nothing but the masked scores
// of one request. Secrets are derived from the token for a request and wiped at its end.
#pragma once

#include <memory>
#include <string>

#include "keys/key_store.h"
#include "match/parameters.h"
#include "secret/secret_key.h"
#include "services/services.h"

namespace bauta::key {

class KeyServer final : public KeyService {
 public:
  explicit KeyServer(std::unique_ptr<keys::KeyStore> store) : store_(std::move(store)) {}

  keys::KeyStore& store() { return *store_; }

  // The secret of one edge for one tenant key: delivered to that edge, which alone encrypts with
  // it. Ciphertexts under it reach the tenant's key by the edge's key-switching key.
  Result<secret::SecretKey> issue_edge_key(const std::string& key_id, const std::string& edge_id,
                                           uint32_t dimension);

  Result<v1::EvaluationKeys> get_evaluation_keys(
      const v1::GetEvaluationKeysRequest& request) override;
  Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) override;
  Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) override;
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override;

 private:
  // The tenant's ring secret. Lives for one request.
  Result<secret::SecretKey> derive_tenant_key(const keys::KeyId& id,
                                              const match::Parameters& parameters);

  std::unique_ptr<keys::KeyStore> store_;
};

// Key ids as they stand in requests: 32 hexadecimal digits. Error invalid_argument.
Result<keys::KeyId> parse_key_id(const std::string& text);

}  // namespace bauta::key
