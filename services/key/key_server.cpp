#include "services/key/key_server.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/thread_pool.h"
#include "match/admission.h"
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
constexpr double kNormSteps = 16;

constexpr int kMaxAdmissions = 256;

uint64_t microseconds_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

// The squared norm. Error refused: why it is no template that the gallery takes.
Result<double> check(const secret::SecretKey& key, const match::Parameters& parameters,
                     const match::Admission& admission, const v1::Origin& origin) {
  BAUTA_TRY(const auto stray, secret::decrypt(key, admission.stray));
  BAUTA_TRY(const auto projections, secret::decrypt(key, admission.projections));
  BAUTA_TRY(const auto squared_norm, secret::decrypt(key, admission.squared_norm));
  const double tolerance =
      origin.norm_tolerance() == 0 ? match::kSquaredNormTolerance : origin.norm_tolerance();
  return match::check_admission(
      parameters, admission.kind,
      {{stray.limb(0), stray.limb(1)}, projections.limb(0), squared_norm.limb(0)}, tolerance);
}

// 0 unless norms are reported.
double reported_norm(double squared_norm, const v1::Origin& origin) {
  if (!origin.norm_reported()) return 0;
  return std::round(std::sqrt(squared_norm) * kNormSteps) / kNormSteps;
}

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

Result<v1::AdmitReply> KeyServer::admit(const v1::AdmitRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  if (request.admissions_size() == 0 || request.admissions_size() > kMaxAdmissions)
    return make_error(ErrorCode::invalid_argument, "{} references to admit; 1 to {} are possible",
                      request.admissions_size(), kMaxAdmissions);
  std::vector<match::Admission> admissions;
  for (const std::string& bytes : request.admissions()) {
    BAUTA_TRY(match::Admission admission, match::parse_admission(parameters, as_bytes(bytes)));
    admissions.push_back(std::move(admission));
  }
  v1::AdmitReply reply;
  const auto derived = Clock::now();
  {
    BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(id, parameters));
    for (const match::Admission& admission : admissions) {
      v1::Admitted& admitted = *reply.add_admitted();
      const Result<double> squared_norm = check(key, parameters, admission, request.origin());
      if (!squared_norm.ok() && squared_norm.error().code != ErrorCode::refused)
        return squared_norm.error();
      admitted.set_admitted(squared_norm.ok());
      if (squared_norm.ok())
        admitted.set_norm(reported_norm(*squared_norm, request.origin()));
      else
        admitted.set_reason(squared_norm.error().message);
    }
  }
  reply.set_secret_lifetime_us(microseconds_since(derived));
  return reply;
}

Result<v1::DecideReply> KeyServer::decide(const v1::DecideRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  if (!std::isfinite(request.threshold()))
    return make_error(ErrorCode::invalid_argument, "the threshold is not a number");
  BAUTA_TRY(const match::ScoreRequest scores,
            match::parse_score_request(parameters, as_bytes(request.scores())));
  BAUTA_TRY(const match::Admission admission,
            match::parse_admission(parameters, as_bytes(request.admission())));
  if (admission.kind != match::TemplateKind::probe)
    return make_error(ErrorCode::invalid_argument, "what was admitted is not a probe");
  BAUTA_TRY(const keys::KeyRecord record, store_->find(id));

  match::ScoreReader reader(parameters);
  v1::DecideReply reply;
  const auto derived = Clock::now();
  {
    BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(id, parameters));
    BAUTA_TRY(const double squared_norm, check(key, parameters, admission, request.origin()));
    reply.set_probe_norm(reported_norm(squared_norm, request.origin()));
    for (size_t block = 0; block < scores.blocks.size(); ++block) {
      BAUTA_TRY(const ring::SecretCoefficients residues,
                secret::decrypt(key, scores.blocks[block].ciphertext));
      reader.read(static_cast<uint32_t>(block), residues.limb(0), scores.blocks[block].live);
    }
  }
  reply.set_secret_lifetime_us(microseconds_since(derived));
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
