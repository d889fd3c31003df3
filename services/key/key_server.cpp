#include "services/key/key_server.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/thread_pool.h"
#include "match/admission.h"
#include "match/scores.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"
#include "services/key/image_keys.h"

namespace bauta::key {
namespace {

using Clock = std::chrono::steady_clock;

// Scores that leave for evaluation are rounded to this many steps per unit.
constexpr double kEvaluationSteps = 1e6;
constexpr double kNormSteps = 128;

constexpr int kMaxAdmissions = 256;
constexpr size_t kMaxName_bytes = 128;

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

// They stand in the log.
Status check_names(std::initializer_list<const std::string*> names) {
  for (const std::string* name : names)
    if (name->empty() || name->size() > kMaxName_bytes)
      return make_error(ErrorCode::invalid_argument,
                        "the request names its edge and its gallery in 1 to {} bytes each",
                        kMaxName_bytes);
  return {};
}

Status check_names(const v1::Origin& origin) {
  return check_names({&origin.edge_id(), &origin.gallery()});
}

// A renewal goes forward within one tenant, and never to a key that shows scores.
Status check_generations(const keys::KeyRecord& from, const keys::KeyRecord& to) {
  if (from.tenant == to.tenant && from.generation < to.generation &&
      from.evaluation == to.evaluation)
    return {};
  return make_error(ErrorCode::refused,
                    "a gallery under key {} of tenant '{}' is not renewed to key {} of tenant "
                    "'{}': only to a later one of the same tenant and kind",
                    from.generation, from.tenant, to.generation, to.tenant);
}

// Precondition: the request has been parsed.
Applicant applicant_of(const v1::DecideRequest& request, const keys::KeyRecord& record) {
  Applicant applicant;
  applicant.key = record;
  applicant.ticket = request.ticket();
  applicant.scope.edge_id = request.origin().edge_id();
  applicant.scope.gallery = request.origin().gallery();
  applicant.scope.verification = request.verification();
  std::ranges::copy(as_bytes(request.probe_digest()), applicant.scope.probe.begin());
  return applicant;
}

// The largest score that two templates of the gallery can have, noise included.
double plausible_score(const v1::Origin& origin) {
  const double longest = std::min(1 + origin.norm_tolerance(), match::kMaxSquaredNorm);
  return std::max(match::kPlausibleScore, longest + 0.01);
}

LogNote note_of(const match::ScoreReader& reader, double threshold, const Policy& policy) {
  if (!reader.implausible().empty()) return LogNote::implausible;
  const std::optional<match::Candidate> best = reader.best();
  const bool near =
      best && best->score < threshold && best->score >= threshold - policy.near_match_margin;
  return near ? LogNote::near_match : LogNote::none;
}

v1::Position to_proto(const match::Position& position) {
  v1::Position proto;
  proto.set_block(position.block);
  proto.set_coefficient(position.coefficient);
  return proto;
}

// What leaves of the scores.
void write_decision(const v1::DecideRequest& request, const keys::KeyRecord& record,
                    const match::ScoreReader& reader, v1::DecideReply& reply) {
  reply.set_decision(v1::DECISION_REJECTED);
  reply.set_implausible(static_cast<uint32_t>(reader.implausible().size()));
  for (const match::Position& position : reader.implausible())
    *reply.add_quarantined() = to_proto(position);
  if (reader.candidates().empty()) return;
  const match::Candidate& best = reader.candidates().front();
  if (best.score >= request.threshold()) reply.set_decision(v1::DECISION_ACCEPTED);
  if (record.evaluation)
    reply.set_evaluation_score(std::round(best.score * kEvaluationSteps) / kEvaluationSteps);
  if (record.evaluation || reply.decision() == v1::DECISION_ACCEPTED) {
    reply.set_block(best.position.block);
    reply.set_coefficient(best.position.coefficient);
  }
  if (request.max_candidates() < 2) return;
  for (const match::Candidate& candidate : reader.candidates())
    if (candidate.score >= request.threshold())
      *reply.add_candidates() = to_proto(candidate.position);
}

// Tells a refusal of a template from one of a key.
bool is_usable(keys::KeyStore& store, const keys::KeyId& id) {
  const Result<keys::KeyRecord> record = store.find(id);
  return record.ok() &&
         (record->state() == keys::KeyState::created || record->state() == keys::KeyState::active ||
          record->state() == keys::KeyState::deactivated);
}

// 0 unless norms are reported.
double reported_norm(double squared_norm, const v1::Origin& origin) {
  if (!origin.norm_reported()) return 0;
  return std::round(std::sqrt(squared_norm) * kNormSteps) / kNormSteps;
}

}  // namespace

struct KeyServer::DecisionInput {
  keys::KeyId id{};
  match::Parameters parameters;
  match::ScoreRequest scores;
  match::Admission admission;
};

Result<keys::KeyId> parse_key_id(const std::string& text) {
  keys::KeyId id{};
  const Result<Bytes> bytes = from_hex(text);
  if (!bytes.ok() || bytes->size() != id.size())
    return make_error(ErrorCode::invalid_argument, "'{}' is not a key id of {} hexadecimal digits",
                      text, 2 * id.size());
  std::copy(bytes->begin(), bytes->end(), id.begin());
  return id;
}

Result<std::unique_ptr<KeyServer>> KeyServer::open(std::unique_ptr<keys::KeyStore> store,
                                                   const std::filesystem::path& directory) {
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, store->signing_keys());
  if (signing_keys.empty()) BAUTA_CHECK(store->create_signing_key());
  BAUTA_TRY(std::unique_ptr<Ledger> ledger, Ledger::open(directory, signing_keys));
  std::unique_ptr<KeyServer> server(new KeyServer(std::move(store), std::move(ledger)));
  BAUTA_TRY(server->grant_book_, GrantBook::open(*server->store_, *server->ledger_, directory));
  BAUTA_CHECK(server->grant_book_->take_over_deliveries());
  return server;
}

KeyServer::~KeyServer() {
  signing_.request_stop();
  signing_.join();
  // A token that is gone by now leaves the last records to the next signature.
  (void)sign();
}

// --- The signed log

Status KeyServer::sign() {
  const Status signed_now = ledger_->log().sign(*store_);
  std::lock_guard lock(signing_mutex_);
  if (!signed_now.ok() && !signing_failed_)
    fmt::print(stderr, "bauta: the token does not sign the decision log: {}\n",
               signed_now.error().message);
  signing_failed_ = !signed_now.ok();
  if (signed_now.ok()) signed_up_to_ = ledger_->log().head().sequence;
  return signed_now;
}

Status KeyServer::sign_if_due() {
  {
    std::lock_guard lock(signing_mutex_);
    const uint64_t records = ledger_->log().head().sequence;
    if (!signing_failed_ && records < signed_up_to_ + kUnsignedRecords) return {};
  }
  return sign();
}

void KeyServer::sign_regularly(const std::stop_token& stop) {
  std::mutex waiting;
  std::unique_lock lock(waiting);
  while (!stopping_.wait_for(lock, stop, kUnsignedTime, [&] { return stop.stop_requested(); }))
    (void)sign();  // reported there, and to whoever asks for a decision
}

Status KeyServer::give_first_key(const std::string& tenant, bool evaluation, keys::KeyUse use) {
  const Result<keys::KeyRecord> active = store_->active(tenant);
  if (active.ok()) return {};
  if (active.error().code != ErrorCode::not_found) return active.error();
  // An interruption may have left one that is not active yet.
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, store_->list());
  const auto left = std::ranges::find_if(records, [&](const keys::KeyRecord& record) {
    return record.tenant == tenant && record.state() == keys::KeyState::created;
  });
  keys::KeyId id{};
  if (left != records.end()) {
    id = left->id;
  } else {
    BAUTA_TRY(const keys::KeyRecord created, store_->create(tenant, evaluation, use));
    BAUTA_CHECK(ledger_->changed(LogEvent::key_created, created.id));
    id = created.id;
  }
  BAUTA_CHECK(store_->activate(id));
  return ledger_->changed(LogEvent::key_activated, id);
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

Result<SecretBytes> KeyServer::issue_edge_seed(const std::string& key_id,
                                               const std::string& edge_id) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(key_id));
  return store_->derive(id, kEdgeSecretPurpose, edge_id);
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

Result<v1::RenewalKey> KeyServer::get_renewal_key(const v1::GetRenewalKeyRequest& request) {
  BAUTA_TRY(const keys::KeyId from, parse_key_id(request.from_key_id()));
  BAUTA_TRY(const keys::KeyId to, parse_key_id(request.to_key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  BAUTA_CHECK(check_names({&request.gallery()}));
  BAUTA_TRY(const keys::KeyRecord from_record, store_->find(from));
  BAUTA_TRY(const keys::KeyRecord to_record, store_->find(to));
  BAUTA_CHECK(check_generations(from_record, to_record));
  v1::RenewalKey reply;
  {
    BAUTA_TRY(const secret::SecretKey from_key, derive_tenant_key(from, parameters));
    BAUTA_TRY(const secret::SecretKey to_key, derive_tenant_key(to, parameters));
    BAUTA_TRY(const ckks::SwitchingKey key,
              secret::generate_switching_key(from_key, to_key, match::key_shape(parameters)));
    reply.set_key(std::string(as_text(ckks::serialize(parameters.ring(), key))));
  }
  // On record before it leaves.
  BAUTA_CHECK(ledger_->renewed(from, to, request.gallery()));
  BAUTA_CHECK(sign_if_due());
  return reply;
}

Result<v1::GetGrantsReply> KeyServer::get_grants(const v1::GetGrantsRequest& request) {
  return make_grants_reply(*store_, *grant_book_, request);
}

Result<v1::ImageKeys> KeyServer::get_image_keys(const v1::GetImageKeysRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  BAUTA_TRY(const secret::SecretKey gallery_key, derive_tenant_key(id, parameters));
  return make_image_keys(*store_, id, gallery_key, request);
}

// --- Admission and decisions

Result<TicketPublicKey> KeyServer::ticket_key(const keys::KeyId& id, const std::string& edge_id) {
  {
    std::lock_guard lock(mutex_);
    const auto known = ticket_keys_.find({id, edge_id});
    if (known != ticket_keys_.end()) return known->second;
  }
  BAUTA_TRY(const SecretBytes seed, store_->derive(id, kEdgeSecretPurpose, edge_id));
  BAUTA_TRY(const TicketSigner signer, TicketSigner::create(seed));
  BAUTA_TRY(const TicketPublicKey key, signer.public_key());
  std::lock_guard lock(mutex_);
  ticket_keys_[{id, edge_id}] = key;
  return key;
}

Status KeyServer::check_ticket(const Applicant& applicant) {
  BAUTA_TRY(const TicketPublicKey key, ticket_key(applicant.key.id, applicant.scope.edge_id));
  const Status signed_by_edge = verify_ticket(key, applicant.scope, applicant.ticket);
  if (!signed_by_edge.ok()) BAUTA_CHECK(ledger_->refused(applicant, LogNote::bad_ticket));
  return signed_by_edge;
}

Result<v1::AdmitReply> KeyServer::admit(const v1::AdmitRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  if (request.admissions_size() == 0 || request.admissions_size() > kMaxAdmissions)
    return make_error(ErrorCode::invalid_argument, "{} references to admit; 1 to {} are possible",
                      request.admissions_size(), kMaxAdmissions);
  BAUTA_CHECK(check_names(request.origin()));
  const std::string& edge_id = request.origin().edge_id();
  const std::string& gallery = request.origin().gallery();
  std::vector<match::Admission> admissions;
  for (const std::string& bytes : request.admissions()) {
    BAUTA_TRY(match::Admission admission, match::parse_admission(parameters, as_bytes(bytes)));
    admissions.push_back(std::move(admission));
  }
  if (request.measuring() && request.admissions_size() != 1)
    return make_error(ErrorCode::invalid_argument, "one reference at a time can be measured");
  BAUTA_CHECK(ledger_->check_admission(edge_id, gallery, request.measuring()));
  v1::AdmitReply reply;
  bool all = true;
  const auto start = Clock::now();
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
      else if (!request.measuring())
        admitted.set_reason(squared_norm.error().message);
      all = all && squared_norm.ok();
    }
  }
  reply.set_secret_lifetime_us(microseconds_since(start));
  if (!all)
    BAUTA_CHECK(ledger_->refused_admission(
        id, edge_id, gallery, request.measuring() ? LogNote::no_length : LogNote::no_template));
  return reply;
}

Result<KeyServer::DecisionInput> KeyServer::parse(const v1::DecideRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  if (!std::isfinite(request.threshold()))
    return make_error(ErrorCode::invalid_argument, "the threshold is not a number");
  BAUTA_CHECK(check_names(request.origin()));
  if (request.probe_digest().size() != sizeof(Digest))
    return make_error(ErrorCode::invalid_argument, "the digest of the probe is missing");
  BAUTA_TRY(match::ScoreRequest scores,
            match::parse_score_request(parameters, as_bytes(request.scores())));
  BAUTA_TRY(match::Admission admission,
            match::parse_admission(parameters, as_bytes(request.admission())));
  if (admission.kind != match::TemplateKind::probe)
    return make_error(ErrorCode::invalid_argument, "what is to be admitted is not a probe");
  return DecisionInput{id, parameters, std::move(scores), std::move(admission)};
}

Status KeyServer::read_scores(const v1::DecideRequest& request, const DecisionInput& input,
                              match::ScoreReader& reader, v1::DecideReply& reply) {
  const auto start = Clock::now();
  {
    BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(input.id, input.parameters));
    reply.set_derive_us(microseconds_since(start));
    BAUTA_TRY(const double squared_norm,
              check(key, input.parameters, input.admission, request.origin()));
    reply.set_probe_norm(reported_norm(squared_norm, request.origin()));
    for (size_t block = 0; block < input.scores.blocks.size(); ++block) {
      BAUTA_TRY(const ring::SecretCoefficients residues,
                secret::decrypt(key, input.scores.blocks[block].ciphertext));
      reader.read(static_cast<uint32_t>(block), residues.limb(0), input.scores.blocks[block].live);
    }
  }
  reply.set_secret_lifetime_us(microseconds_since(start));
  return {};
}

Result<v1::DecideReply> KeyServer::decide(const v1::DecideRequest& request) {
  BAUTA_TRY(const DecisionInput input, parse(request));
  BAUTA_TRY(const keys::KeyRecord record, store_->find(input.id));
  const Applicant applicant = applicant_of(request, record);
  BAUTA_CHECK(check_ticket(applicant));
  BAUTA_CHECK(ledger_->check(applicant));
  const size_t count =
      std::clamp<size_t>(request.max_candidates(), 1, std::max(1u, record.candidates));
  match::ScoreReader reader(input.parameters, count, plausible_score(request.origin()));
  v1::DecideReply reply;
  if (const Status read = read_scores(request, input, reader, reply); !read.ok()) {
    if (read.error().code == ErrorCode::refused && is_usable(*store_, input.id))
      BAUTA_CHECK(ledger_->refused(applicant, LogNote::no_template));
    return read.error();
  }
  write_decision(request, record, reader, reply);
  // On record before it leaves: a ticket is spent even if the reply is lost.
  const bool accepted = reply.decision() == v1::DECISION_ACCEPTED;
  BAUTA_CHECK(ledger_->decided(applicant, accepted ? LogOutcome::accepted : LogOutcome::rejected,
                               note_of(reader, request.threshold(), ledger_->policy())));
  BAUTA_CHECK(sign_if_due());
  return reply;
}

}  // namespace bauta::key
