// The key service: the only party that can decrypt. What a request may have decrypted follows from
// the ticket of an edge and the contract of the gallery, and is charged, durably, before
// (services/key/charges.h). Secrets are derived from the token for a request and wiped at its end.
#pragma once

#include <atomic>
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
#include "services/answer.h"
#include "services/key/contracts.h"
#include "services/key/grant_book.h"
#include "services/key/ledger.h"
#include "services/key/public_keys.h"
#include "services/services.h"

namespace bauta::key {

// Persistent: another purpose is another key (docs/formats/key-derivation.md).
inline constexpr std::string_view kTenantPurpose = "bauta tenant ring secret 1";

// The token signs the log when so many records have been added to it, or so much time has passed.
inline constexpr uint64_t kUnsignedRecords = 64;
inline constexpr std::chrono::seconds kUnsignedTime(5);

class KeyServer final : public KeyService {
 public:
  // `directory` holds the decision log, the contracts and the policy. Errors: those of Ledger::open
  // and of the token; corrupt when something is missing that the log speaks of.
  static Result<std::unique_ptr<KeyServer>> open(std::unique_ptr<keys::KeyStore> store,
                                                 const std::filesystem::path& directory);
  // Has the token sign what was decided; says on stderr if it does not.
  ~KeyServer() override;

  keys::KeyStore& store() { return *store_; }
  Ledger& ledger() { return *ledger_; }
  Contracts& contracts() { return *contracts_; }
  const PublicKeys& public_keys() const { return public_keys_; }
  const grants::Grants& grants() const { return grant_book_->grants(); }
  GrantBook& grant_book() { return *grant_book_; }

  // Makes and activates the tenant's first key, on record; nothing when it has an active one.
  // Errors: those of KeyStore::active but not_found, e.g. refused when it is suspended or
  // destroyed.
  Status give_first_key(const std::string& tenant, bool evaluation = false, keys::KeyUse use = {});

  // Makes and activates the tenant's next key, with the use of the one before, on record.
  Result<keys::KeyRecord> rotate(const keys::KeyRecord& before, uint64_t decision_budget = 0);
  // The same because the budget of `before` nears its end: get_successor() then asks for the
  // renewal of its galleries.
  Status rotate_by_itself(const keys::KeyRecord& before);

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
  Result<v1::GetSuccessorReply> get_successor(const v1::GetSuccessorRequest& request) override;
  Result<v1::RegisterContractReply> register_contract(
      const v1::RegisterContractRequest& request) override;
  Result<v1::GetGrantsReply> get_grants(const v1::GetGrantsRequest& request) override;
  Result<v1::AdmitReply> admit(const v1::AdmitRequest& request) override;
  Result<v1::DecideReply> decide(const v1::DecideRequest& request) override;

  // Of the last decision, for who measures in this process; it leaves in no answer.
  uint64_t derive_us() const { return derive_us_; }
  uint64_t secret_lifetime_us() const { return secret_lifetime_us_; }

  // Derives from every active key, as a request would. Errors: the token's.
  Status check_ready();

 private:
  KeyServer(std::unique_ptr<keys::KeyStore> store, std::unique_ptr<Ledger> ledger,
            std::unique_ptr<Contracts> contracts, PublicKeys public_keys)
      : store_(std::move(store)),
        ledger_(std::move(ledger)),
        contracts_(std::move(contracts)),
        public_keys_(std::move(public_keys)),
        signed_up_to_(ledger_->log().head().sequence),
        signing_([this](const std::stop_token& stop) { sign_regularly(stop); }) {}

  // Once too much is unsigned, or signing has failed before. Errors: those of DecisionLog::sign.
  Status sign_if_due();
  Status sign();
  void sign_regularly(const std::stop_token& stop);

  // What an edge shares with the key service beside its ring secret.
  struct EdgeCodes {
    TicketPublicKey ticket_key;
    AnswerCode answer_code;
  };
  Result<std::shared_ptr<const EdgeCodes>> edge_codes(const keys::KeyId& id,
                                                      const std::string& edge_id);
  // A request whose ticket the edge has signed for exactly this, and the contract to judge it by.
  struct Signed {
    Applicant applicant;
    v1::EmbeddingContract contract;
    std::shared_ptr<const EdgeCodes> codes;

    v1::Answer answer(std::string outcome) const;
  };
  // Errors: refused, on record; invalid_argument; not_found, the gallery has no contract.
  Result<Signed> check_signed(TicketKind kind, const std::string& key_id, const v1::Origin& origin,
                              uint32_t count);
  struct DecisionInput;
  static Result<DecisionInput> parse(const v1::DecideRequest& request);
  struct Reading;
  // Everything that happens while the secret is there: admits the probe and reads the scores.
  Result<Reading> read_scores(const Signed& asked, const DecisionInput& input,
                              const Charge& charge);
  // Records what became of a charged request that got no answer, and passes the error on.
  Error without_answer(const Applicant& applicant, const Error& error);
  // The tenant's ring secret. Lives for one request.
  Result<secret::SecretKey> derive_tenant_key(const keys::KeyId& id,
                                              const match::Parameters& parameters);

  std::unique_ptr<keys::KeyStore> store_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<Contracts> contracts_;
  PublicKeys public_keys_;
  std::unique_ptr<GrantBook> grant_book_;
  std::mutex mutex_;  // guards edge_codes_
  std::map<std::pair<keys::KeyId, std::string>, std::shared_ptr<const EdgeCodes>> edge_codes_;
  std::atomic<uint64_t> derive_us_ = 0, secret_lifetime_us_ = 0;
  std::mutex signing_mutex_;  // guards the two below
  uint64_t signed_up_to_;
  bool signing_failed_ = false;
  std::condition_variable_any stopping_;
  std::jthread signing_;  // the last: it uses all of the above
};

// Key ids as they stand in requests: 32 hexadecimal digits. Error invalid_argument.
Result<keys::KeyId> parse_key_id(const std::string& text);

}  // namespace bauta::key
