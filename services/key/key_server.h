// The key service: the only party that can decrypt, and on request it decrypts nothing but the
// masked scores of that request. Secrets are derived from the token for a request and wiped at its
// end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "keys/key_store.h"
#include "match/scores.h"
#include "match/tiles.h"
#include "secret/secret_key.h"
#include "services/key/grant_book.h"
#include "services/key/ledger.h"
#include "services/services.h"

namespace bauta::key {

// Persistent: another purpose is another key (docs/formats/key-derivation.md).
inline constexpr std::string_view kTenantPurpose = "bauta tenant ring secret 1";

// The token signs the log when so many records have been added to it, or so much time has passed.
inline constexpr uint64_t kUnsignedRecords = 64;
inline constexpr std::chrono::seconds kUnsignedTime(5);

class KeyServer final : public KeyService {
 public:
  // `directory` holds the decision log and the policy. Errors: those of Ledger::open and of the
  // token.
  static Result<std::unique_ptr<KeyServer>> open(std::unique_ptr<keys::KeyStore> store,
                                                 const std::filesystem::path& directory);
  // Has the token sign what was decided; says on stderr if it does not.
  ~KeyServer() override;

  keys::KeyStore& store() { return *store_; }
  Ledger& ledger() { return *ledger_; }
  const grants::Grants& grants() const { return grant_book_->grants(); }
  GrantBook& grant_book() { return *grant_book_; }

  // Makes and activates the tenant's first key, on record; nothing when it has an active one.
  // Errors: those of KeyStore::active but not_found, e.g. refused when it is suspended or
  // destroyed.
  Status give_first_key(const std::string& tenant, bool evaluation = false, keys::KeyUse use = {});

  // The secret of one edge for one tenant key: delivered to that edge, which alone encrypts with
  // it. Ciphertexts under it reach the tenant's key by the edge's key-switching key.
  Result<secret::SecretKey> issue_edge_key(const std::string& key_id, const std::string& edge_id,
                                           uint32_t dimension);
  // What that secret and the edge's signatures follow from: all that an edge needs to be given.
  Result<SecretBytes> issue_edge_seed(const std::string& key_id, const std::string& edge_id);

  // For who holds both the key and the gallery's files; no request of the services. Decrypts the
  // ciphertexts of a block without originals, takes out the references at these coefficients, and
  // encrypts the rest anew, one ciphertext after the other in locked memory. On record. Errors:
  // invalid_argument; corrupt when it is no such block; those of the token.
  Result<match::TiledCiphertexts> rewrite_block(const std::string& gallery,
                                                const std::string& key_id, uint32_t dimension,
                                                const match::TiledCiphertexts& images,
                                                std::span<const uint32_t> coefficients);

  Result<v1::EvaluationKeys> get_evaluation_keys(
      const v1::GetEvaluationKeysRequest& request) override;
  Result<v1::EdgeSwitchingKey> get_edge_switching_key(
      const v1::GetEdgeSwitchingKeyRequest& request) override;
  Result<v1::ImageKeys> get_image_keys(const v1::GetImageKeysRequest& request) override;
  // Errors: refused unless the second is a later generation of the same tenant, both may be used,
  // and neither or both were created for evaluation.
  Result<v1::RenewalKey> get_renewal_key(const v1::GetRenewalKeyRequest& request) override;
  Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest& request) override;
  Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) override;
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override;

 private:
  KeyServer(std::unique_ptr<keys::KeyStore> store, std::unique_ptr<Ledger> ledger)
      : store_(std::move(store)),
        ledger_(std::move(ledger)),
        signed_up_to_(ledger_->log().head().sequence),
        signing_([this](const std::stop_token& stop) { sign_regularly(stop); }) {}

  // Once too much is unsigned, or signing has failed before. Errors: those of DecisionLog::sign.
  Status sign_if_due();
  Status sign();
  void sign_regularly(const std::stop_token& stop);

  // Error refused, on record, unless the edge has signed for this request.
  Status check_ticket(const Applicant& applicant);
  Result<TicketPublicKey> ticket_key(const keys::KeyId& id, const std::string& edge_id);
  struct DecisionInput;
  static Result<DecisionInput> parse(const v1::DecideRequest& request);
  // All that happens while the secret is there: admits the probe and reads the scores. Error
  // refused: the probe is no template, or the key may not be used.
  Status read_scores(const v1::DecideRequest& request, const DecisionInput& input,
                     match::ScoreReader& reader, v1::DecideReply& reply);
  // The tenant's ring secret. Lives for one request.
  Result<secret::SecretKey> derive_tenant_key(const keys::KeyId& id,
                                              const match::Parameters& parameters);

  std::unique_ptr<keys::KeyStore> store_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<GrantBook> grant_book_;
  std::mutex mutex_;  // guards ticket_keys_
  std::map<std::pair<keys::KeyId, std::string>, TicketPublicKey> ticket_keys_;
  std::mutex signing_mutex_;  // guards the two below
  uint64_t signed_up_to_;
  bool signing_failed_ = false;
  std::condition_variable_any stopping_;
  std::jthread signing_;  // the last: it uses all of the above
};

// Key ids as they stand in requests: 32 hexadecimal digits. Error invalid_argument.
Result<keys::KeyId> parse_key_id(const std::string& text);

}  // namespace bauta::key
