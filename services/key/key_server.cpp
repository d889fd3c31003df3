#include "services/key/key_server.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/thread_pool.h"
#include "match/evaluation_keys.h"
#include "match/scores.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::key {
namespace {

using Clock = std::chrono::steady_clock;

// Persistent: another purpose is another key (docs/formats/key-derivation.md).
constexpr std::string_view kTenantPurpose = "bauta tenant ring secret 1";

// Scores that leave for evaluation are rounded to this many steps per unit.
constexpr double kEvaluationSteps = 1e6;

}  // namespace

Result<keys::KeyId> parse_key_id(const std::string& text) {
  keys::KeyId id{};
  const Result<Bytes> bytes = from_hex(text);
  if (!bytes.ok() || bytes->size() != id.size())
    return make_error(ErrorCode::invalid_argument, "'{}' is not a key id of {} hexadecimal digits",
                      text, 2 * id.size());
  std::copy(bytes->begin(), bytes->end(), id.begin());
  return id;
}

Result<secret::SecretKey> KeyServer::derive_tenant_key(const keys::KeyId& id,
                                                       const match::Parameters& parameters) {
  BAUTA_TRY(const SecretBytes seed, store_->derive(id, kTenantPurpose));
  return secret::SecretKey::expand(parameters.ring(), seed, kTenantPurpose);
}

Result<secret::SecretKey> KeyServer::issue_edge_key(const std::string& key_id,
                                                    const std::string& edge_id,
                                                    uint32_t dimension) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(key_id));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(dimension));
  BAUTA_TRY(const SecretBytes seed, store_->derive(id, kEdgeSecretPurpose, edge_id));
  return secret::SecretKey::expand(parameters.ring(), seed, kEdgeSecretPurpose);
}

Result<v1::EvaluationKeys> KeyServer::get_evaluation_keys(
    const v1::GetEvaluationKeysRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(id, parameters));
  const ckks::KeySwitchShape shape = match::key_shape(parameters);
  const std::vector<uint32_t> elements = match::galois_elements(parameters);

  std::vector<Result<Bytes>> galois_keys(elements.size(), Bytes());
  ThreadPool threads(available_processors());
  threads.parallel_for(elements.size(), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const Result<ckks::GaloisKey> generated =
          secret::generate_galois_key(key, elements[i], shape);
      galois_keys[i] = generated.ok()
                           ? Result<Bytes>(ckks::serialize(parameters.ring(), *generated))
                           : Result<Bytes>(generated.error());
    }
  });
  v1::EvaluationKeys reply;
  for (const Result<Bytes>& galois_key : galois_keys) {
    if (!galois_key.ok()) return galois_key.error();
    reply.mutable_galois_keys()->append(as_text(*galois_key));
  }
  BAUTA_TRY(const ckks::RelinearizationKey relinearization,
            secret::generate_relinearization_key(key, shape));
  reply.set_relinearization_key(
      std::string(as_text(ckks::serialize(parameters.ring(), relinearization))));
  return reply;
}

Result<v1::EdgeSwitchingKey> KeyServer::get_edge_switching_key(
    const v1::GetEdgeSwitchingKeyRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  BAUTA_TRY(const secret::SecretKey from,
            issue_edge_key(request.key_id(), request.edge_id(), request.dimension()));
  BAUTA_TRY(const secret::SecretKey to, derive_tenant_key(id, parameters));
  BAUTA_TRY(const ckks::SwitchingKey key,
            secret::generate_switching_key(from, to, match::key_shape(parameters)));
  v1::EdgeSwitchingKey reply;
  reply.set_key(std::string(as_text(ckks::serialize(parameters.ring(), key))));
  return reply;
}

Result<v1::DecideReply> KeyServer::decide(const v1::DecideRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  if (!std::isfinite(request.threshold()))
    return make_error(ErrorCode::invalid_argument, "the threshold is not a number");
  BAUTA_TRY(const match::ScoreRequest scores,
            match::parse_score_request(parameters, as_bytes(request.scores())));
  BAUTA_TRY(const keys::KeyRecord record, store_->find(id));

  match::ScoreReader reader(parameters);
  const auto derived = Clock::now();
  {
    BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(id, parameters));
    for (size_t block = 0; block < scores.blocks.size(); ++block) {
      BAUTA_TRY(const ring::SecretCoefficients residues,
                secret::decrypt(key, scores.blocks[block].ciphertext));
      reader.read(static_cast<uint32_t>(block), residues.limb(0), scores.blocks[block].live);
    }
  }
  v1::DecideReply reply;
  reply.set_secret_lifetime_us(static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - derived).count()));
  reply.set_decision(v1::DECISION_REJECTED);
  reply.set_implausible(static_cast<uint32_t>(reader.implausible().size()));
  if (!reader.best()) return reply;
  const match::Candidate& best = *reader.best();
  if (best.score >= request.threshold()) reply.set_decision(v1::DECISION_ACCEPTED);
  if (record.evaluation)
    reply.set_evaluation_score(std::round(best.score * kEvaluationSteps) / kEvaluationSteps);
  if (record.evaluation || reply.decision() == v1::DECISION_ACCEPTED) {
    reply.set_block(best.position.block);
    reply.set_coefficient(best.position.coefficient);
  }
  return reply;
}

}  // namespace bauta::key
