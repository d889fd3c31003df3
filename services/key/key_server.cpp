#include "services/key/key_server.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "base/thread_pool.h"
#include "match/admission.h"
#include "match/flood.h"
#include "match/scores.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"
#include "services/contract.h"
#include "services/key/image_keys.h"
#include "services/key/nearness.h"

namespace bauta::key {
namespace {

using Clock = std::chrono::steady_clock;

// Scores that leave for evaluation are rounded to this many steps per unit.
constexpr double kEvaluationSteps = 1e6;

// Lengths of what a network made of encrypted images. They arrive shortened, since longer templates
// than 1.04 do not fit; images of a third of that and more are taken.
constexpr double kLengthSteps = 128;
constexpr double kImageTolerance = 0.9;

// Of a derivation that is thrown away.
constexpr std::string_view kReadinessPurpose = "bauta readiness 1";

constexpr int kMaxAdmissions = 256;
constexpr size_t kMaxName_bytes = 128;

// How far beyond the longest templates a score may lie, flood aside.
constexpr double kScoreError = 0.01;

uint64_t microseconds_since(Clock::time_point start) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count());
}

// 0 means that the contract says nothing.
double tolerance_of(const v1::EmbeddingContract& contract) {
  return contract.norm_tolerance() == 0 ? match::kSquaredNormTolerance : contract.norm_tolerance();
}

// The squared norm. Error refused: it is no template that the gallery takes.
Result<double> check(const secret::SecretKey& key, const match::Parameters& parameters,
                     const match::Admission& admission, double tolerance) {
  BAUTA_TRY(const auto stray, secret::decrypt(key, admission.stray));
  BAUTA_TRY(const auto squared_norm, secret::decrypt(key, admission.squared_norm));
  std::vector<ring::SecretCoefficients> projections;
  match::AdmissionResidues residues{{stray.limb(0), stray.limb(1)}, {}, squared_norm.limb(0)};
  for (const ckks::CoefficientCiphertext& ciphertext : admission.projections) {
    BAUTA_TRY(ring::SecretCoefficients projection, secret::decrypt(key, ciphertext));
    projections.push_back(std::move(projection));
  }
  for (const ring::SecretCoefficients& projection : projections)
    residues.projections.push_back(projection.limb(0));
  return match::check_admission(parameters, admission.kind, residues, tolerance);
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

// A digest in a request; empty stands for zeros where that is allowed. Error invalid_argument.
Result<Digest> parse_digest(const char* name, const std::string& bytes, bool may_be_empty = false) {
  Digest digest{};
  if (bytes.empty() && may_be_empty) return digest;
  if (bytes.size() != digest.size())
    return make_error(ErrorCode::invalid_argument, "the digest of {} is missing", name);
  std::ranges::copy(as_bytes(bytes), digest.begin());
  return digest;
}

uint32_t positions_of(const match::ScoreRequest& scores) {
  int positions = 0;
  for (const match::ScoreBlock& block : scores.blocks)
    for (const uint8_t byte : block.live) positions += std::popcount(byte);
  return static_cast<uint32_t>(positions);
}

// What a decision can tell: one of so many positions and two refusals, or the k best.
Price price_of(uint32_t positions, uint32_t candidates) {
  const double bits = std::log2(positions + 2.0) * std::max(1u, candidates);
  return {positions, static_cast<uint32_t>(std::ceil(bits))};
}

// Whose the live positions are, as the request says. Error invalid_argument: not of each of them.
Result<std::span<const match::Pseudonym>> parse_persons(const std::string& bytes,
                                                        uint32_t positions) {
  const size_t expected = positions * sizeof(match::Pseudonym);
  if (bytes.size() != expected)
    return make_error(ErrorCode::invalid_argument,
                      "{} bytes say whose {} references are compared; {} are expected",
                      bytes.size(), positions, expected);
  return std::span(reinterpret_cast<const match::Pseudonym*>(bytes.data()), positions);
}

}  // namespace

struct KeyServer::DecisionInput {
  keys::KeyId id{};
  match::Parameters parameters;
  match::ScoreRequest scores;
  match::Admission admission;
  uint32_t positions = 0;
  std::span<const match::Pseudonym> persons;  // into the request; empty in 1:1
};

// What a decision becomes.
struct KeyServer::Reading {
  DecisionOutcome outcome;  // refused, unless everything is a template
  LogNote note = LogNote::none;
  std::vector<Told> told;  // of a search
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
  BAUTA_TRY(std::unique_ptr<Contracts> contracts, Contracts::open(directory / "contracts"));
  BAUTA_TRY(PublicKeys public_keys, PublicKeys::open(directory));
  for (const auto& [gallery, key] : ledger->contracts())
    if (const auto found = contracts->find(gallery); !found.ok())
      return make_error(ErrorCode::corrupt, "{}, which the decision log speaks of",
                        found.error().message);
  std::unique_ptr<KeyServer> server(new KeyServer(std::move(store), std::move(ledger),
                                                  std::move(contracts), std::move(public_keys)));
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

Result<keys::KeyRecord> KeyServer::rotate(const keys::KeyRecord& before, uint64_t decision_budget) {
  keys::KeyUse use{before.candidates, before.decision_budget};
  if (decision_budget != 0) use.decision_budget = decision_budget;
  BAUTA_TRY(const keys::KeyRecord created, store_->create(before.tenant, before.evaluation, use));
  BAUTA_CHECK(store_->activate(created.id));
  BAUTA_CHECK(ledger_->changed(LogEvent::key_created, created.id));
  BAUTA_CHECK(ledger_->changed(LogEvent::key_activated, created.id));
  return store_->find(created.id);
}

Status KeyServer::rotate_by_itself(const keys::KeyRecord& before) {
  BAUTA_TRY(const keys::KeyRecord created, rotate(before));
  return ledger_->rotated_by_itself(created.id, before.tenant);
}

Result<v1::GetSuccessorReply> KeyServer::get_successor(const v1::GetSuccessorRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const keys::KeyRecord record, store_->find(id));
  v1::GetSuccessorReply reply;
  const Result<keys::KeyRecord> active = store_->active(record.tenant);
  if (!active.ok()) return active.error();
  // Whoever rotates by hand renews by hand.
  if (active->generation > record.generation &&
      ledger_->rotated_by_itself_at_ms(record.tenant) / 1000 >= active->activated_at_s)
    reply.set_key_id(to_hex(active->id));
  return reply;
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
  // The same at every call: whoever recomputes what a server computes needs equal keys.
  if (Result<v1::EvaluationKeys> made = public_keys_.find(id, parameters.dimension()); made.ok())
    return made;
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
  BAUTA_CHECK(public_keys_.put(id, parameters.dimension(), reply));
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

// --- Tickets and contracts

Result<std::shared_ptr<const KeyServer::EdgeCodes>> KeyServer::edge_codes(
    const keys::KeyId& id, const std::string& edge_id) {
  {
    std::lock_guard lock(mutex_);
    const auto known = edge_codes_.find({id, edge_id});
    if (known != edge_codes_.end()) return known->second;
  }
  BAUTA_TRY(const SecretBytes seed, store_->derive(id, kEdgeSecretPurpose, edge_id));
  BAUTA_TRY(const TicketSigner signer, TicketSigner::create(seed));
  BAUTA_TRY(const TicketPublicKey ticket_key, signer.public_key());
  BAUTA_TRY(AnswerCode answer_code, AnswerCode::create(seed));
  auto codes = std::make_shared<const EdgeCodes>(EdgeCodes{ticket_key, std::move(answer_code)});
  std::lock_guard lock(mutex_);
  edge_codes_[{id, edge_id}] = codes;
  return codes;
}

v1::Answer KeyServer::Signed::answer(std::string outcome) const {
  return codes->answer_code.make(ticket_digest(applicant.scope, applicant.ticket),
                                 std::move(outcome));
}

Result<KeyServer::Signed> KeyServer::check_signed(TicketKind kind, const std::string& key_id,
                                                  const v1::Origin& origin, uint32_t count) {
  Signed asked;
  BAUTA_TRY(const keys::KeyId id, parse_key_id(key_id));
  BAUTA_CHECK(check_names({&origin.edge_id(), &origin.gallery()}));
  Applicant& applicant = asked.applicant;
  BAUTA_TRY(applicant.key, store_->find(id));
  applicant.ticket = origin.ticket();
  TicketScope& scope = applicant.scope;
  scope.kind = kind;
  scope.edge_id = origin.edge_id();
  scope.gallery = origin.gallery();
  scope.key_id = key_id;
  scope.image = origin.image();
  scope.count = count;
  BAUTA_TRY(scope.ciphertexts, parse_digest("the ciphertexts", origin.ciphertexts()));
  BAUTA_TRY(scope.subject,
            parse_digest("the subject", origin.subject(), kind == TicketKind::identification));
  BAUTA_TRY(const RegisteredContract registered, contracts_->find(origin.gallery()));
  if (registered.tenant != applicant.key.tenant)
    return make_error(ErrorCode::refused, "gallery {} is not one of tenant '{}'", origin.gallery(),
                      applicant.key.tenant);
  BAUTA_CHECK(grants().check(
      scope.edge_id, registered.tenant, scope.gallery,
      kind == TicketKind::enrolment ? grants::Right::enrol : grants::Right::recognise));
  asked.contract = registered.contract;
  scope.contract = contract_digest(registered.contract);
  BAUTA_TRY(asked.codes, edge_codes(id, scope.edge_id));
  if (const Status verified = verify_ticket(asked.codes->ticket_key, scope, applicant.ticket);
      !verified.ok()) {
    BAUTA_CHECK(ledger_->refused(applicant, LogNote::bad_ticket));
    return verified.error();
  }
  return asked;
}

Result<v1::RegisterContractReply> KeyServer::register_contract(
    const v1::RegisterContractRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  const v1::Origin& origin = request.origin();
  BAUTA_CHECK(check_names({&origin.edge_id(), &origin.gallery()}));
  BAUTA_TRY(const keys::KeyRecord record, store_->find(id));
  BAUTA_CHECK(match::Parameters::create(request.contract().dimension()));
  BAUTA_CHECK(
      grants().check(origin.edge_id(), record.tenant, origin.gallery(), grants::Right::admin));
  if (!record.evaluation) BAUTA_CHECK(check_judgeable(request.contract()));
  TicketScope scope;
  scope.kind = TicketKind::contract;
  scope.edge_id = origin.edge_id();
  scope.gallery = origin.gallery();
  scope.key_id = request.key_id();
  scope.contract = contract_digest(request.contract());
  const Applicant applicant{record, scope, origin.ticket()};
  BAUTA_TRY(const auto codes, edge_codes(id, origin.edge_id()));
  if (const Status verified = verify_ticket(codes->ticket_key, scope, origin.ticket());
      !verified.ok()) {
    BAUTA_CHECK(ledger_->refused(applicant, LogNote::bad_ticket));
    return verified.error();
  }
  BAUTA_CHECK(ledger_->check_unspent(applicant));
  v1::RegisterContractReply reply;
  BAUTA_TRY(const uint32_t version,
            contracts_->put({origin.gallery(), record.tenant, origin.edge_id(), 0,
                             request.contract(), origin.ticket()}));
  BAUTA_CHECK(ledger_->contract_registered(applicant));
  reply.set_version(version);
  return reply;
}

// --- Admission and decisions

Error KeyServer::without_answer(const Applicant& applicant, const Error& error) {
  const Status recorded = ledger_->conclude(applicant, LogOutcome::refused, LogNote::failed);
  return recorded.ok() ? error : recorded.error();
}

Result<v1::AdmitReply> KeyServer::admit(const v1::AdmitRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  const int count = request.admissions_size();
  if (count == 0 || count > kMaxAdmissions)
    return make_error(ErrorCode::invalid_argument, "{} references to admit; 1 to {} are possible",
                      count, kMaxAdmissions);
  std::vector<match::Admission> admissions;
  for (const std::string& bytes : request.admissions()) {
    BAUTA_TRY(match::Admission admission, match::parse_admission(parameters, as_bytes(bytes)));
    admissions.push_back(std::move(admission));
  }
  BAUTA_TRY(const Signed asked, check_signed(TicketKind::enrolment, request.key_id(),
                                             request.origin(), static_cast<uint32_t>(count)));
  if (asked.contract.dimension() != request.dimension())
    return make_error(ErrorCode::mismatch, "the contract of gallery {} has {} dimensions, not {}",
                      request.origin().gallery(), asked.contract.dimension(), request.dimension());
  const bool image = request.origin().image();
  const auto references = static_cast<uint32_t>(count);
  BAUTA_CHECK(ledger_->charge(asked.applicant, {references, image ? 8 * references : 1}));
  std::string outcome(kMaxAdmissions, '\0');
  bool all = true;
  {
    const Result<secret::SecretKey> key = derive_tenant_key(id, parameters);
    if (!key.ok()) return without_answer(asked.applicant, key.error());
    for (size_t i = 0; i < admissions.size(); ++i) {
      const Result<double> squared_norm = check(
          *key, parameters, admissions[i], image ? kImageTolerance : tolerance_of(asked.contract));
      if (!squared_norm.ok() && squared_norm.error().code != ErrorCode::refused)
        return without_answer(asked.applicant, squared_norm.error());
      all = all && squared_norm.ok();
      if (!squared_norm.ok()) continue;
      const double length = image ? std::round(std::sqrt(*squared_norm) * kLengthSteps) : 1;
      outcome[i] = static_cast<char>(static_cast<uint8_t>(length));
    }
  }
  // All or none: which one is none would be an answer of its own.
  if (!all) outcome.assign(kMaxAdmissions, '\0');
  v1::AdmitReply reply;
  const LogNote note = all ? LogNote::none : image ? LogNote::no_length : LogNote::no_template;
  BAUTA_CHECK(
      ledger_->conclude(asked.applicant, all ? LogOutcome::accepted : LogOutcome::refused, note));
  BAUTA_CHECK(sign_if_due());
  *reply.mutable_answer() = asked.answer(std::move(outcome));
  return reply;
}

Result<KeyServer::DecisionInput> KeyServer::parse(const v1::DecideRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(request.dimension()));
  BAUTA_TRY(match::ScoreRequest scores,
            match::parse_score_request(parameters, as_bytes(request.scores())));
  BAUTA_TRY(match::Admission admission,
            match::parse_admission(parameters, as_bytes(request.admission())));
  if (admission.kind != match::TemplateKind::probe)
    return make_error(ErrorCode::invalid_argument, "what is to be admitted is not a probe");
  const uint32_t positions = positions_of(scores);
  BAUTA_TRY(const auto persons,
            parse_persons(request.persons(), request.verification() ? 0 : positions));
  return DecisionInput{id, parameters, std::move(scores), std::move(admission), positions, persons};
}

Result<KeyServer::Reading> KeyServer::read_scores(const Signed& asked, const DecisionInput& input,
                                                  const Charge& charge) {
  const TicketScope& scope = asked.applicant.scope;
  const keys::KeyRecord& record = asked.applicant.key;
  const double tolerance = scope.image ? kImageTolerance : tolerance_of(asked.contract);
  const double longest = scope.image ? 1 : std::min(1 + tolerance, match::kMaxSquaredNorm);
  const double threshold = scope.kind == TicketKind::verification
                               ? asked.contract.threshold_verify()
                               : asked.contract.threshold_identify();
  const size_t count = std::max(1u, record.candidates);
  const Policy& policy = ledger_->policy();
  const bool searching = scope.kind == TicketKind::identification;
  Reading reading;
  DecisionOutcome& outcome = reading.outcome;
  outcome.positions.resize(count);

  const auto start = Clock::now();
  BAUTA_TRY(const SecretBytes seed, store_->derive(input.id, kTenantPurpose));
  BAUTA_TRY(const secret::SecretKey key,
            secret::SecretKey::expand(input.parameters.ring(), seed, kTenantPurpose));
  derive_us_ = microseconds_since(start);
  const Result<double> squared_norm = check(key, input.parameters, input.admission, tolerance);
  if (!squared_norm.ok() && squared_norm.error().code != ErrorCode::refused)
    return squared_norm.error();
  if (!squared_norm.ok()) {
    reading.note = scope.image ? LogNote::no_length : LogNote::no_template;
    return reading;
  }
  BAUTA_TRY(const match::Flood flood,
            record.evaluation
                ? Result<match::Flood>(match::Flood::none())
                : match::Flood::create(seed, ticket_digest(scope, asked.applicant.ticket)));
  match::Watch watch;
  if (searching && !record.evaluation) {
    watch.floor = threshold - policy.near_margin;
    watch.passed_over = charge.locked.get();
  }
  match::ScoreReader reader(
      input.parameters, count,
      longest + kScoreError + match::kFloodBound_deviations * flood.deviation(), flood,
      scope.image ? 1 / std::sqrt(*squared_norm) : 1, watch);
  std::span<const match::Pseudonym> persons = input.persons;
  for (size_t block = 0; block < input.scores.blocks.size(); ++block) {
    BAUTA_TRY(const ring::SecretCoefficients residues,
              secret::decrypt(key, input.scores.blocks[block].ciphertext));
    const match::ScoreBlock& scores = input.scores.blocks[block];
    persons = persons.subspan(
        reader.read(static_cast<uint32_t>(block), residues.limb(0), scores.live, persons));
  }
  secret_lifetime_us_ = microseconds_since(start);
  if (reader.implausible_count() > 0) {
    reading.note = LogNote::implausible;
    return reading;
  }
  if (reader.crowded()) {
    reading.note = LogNote::crowd;
    return reading;
  }
  outcome.decision = v1::DECISION_REJECTED;
  if (reader.candidates().empty()) return reading;
  const double best = reader.candidates().front().score;
  if (best >= threshold) outcome.decision = v1::DECISION_ACCEPTED;
  if (searching)
    reading.told = told_of(reader.watched(), threshold, count > 1, policy);
  else
    reading.note = nearness_of(best, threshold, policy);
  if (record.evaluation)
    outcome.evaluation_score = std::round(best * kEvaluationSteps) / kEvaluationSteps;
  for (const match::Candidate& candidate : reader.candidates()) {
    const bool shown =
        candidate.score >= threshold || (record.evaluation && outcome.candidates == 0);
    if (!shown) break;
    outcome.positions[outcome.candidates++] = {candidate.position.block,
                                               candidate.position.coefficient};
  }
  return reading;
}

Result<v1::DecideReply> KeyServer::decide(const v1::DecideRequest& request) {
  BAUTA_TRY(const DecisionInput input, parse(request));
  BAUTA_TRY(const Signed asked, check_signed(request.verification() ? TicketKind::verification
                                                                    : TicketKind::identification,
                                             request.key_id(), request.origin(), /*count=*/1));
  const Applicant& applicant = asked.applicant;
  if (asked.contract.dimension() != request.dimension())
    return make_error(ErrorCode::mismatch, "the contract of gallery {} has {} dimensions, not {}",
                      request.origin().gallery(), asked.contract.dimension(), request.dimension());
  BAUTA_TRY(const Charge charge,
            ledger_->charge(applicant, price_of(input.positions, applicant.key.candidates)));
  const Result<Reading> reading = read_scores(asked, input, charge);
  if (!reading.ok()) return without_answer(applicant, reading.error());
  const DecisionOutcome& outcome = reading->outcome;
  // In the file before it leaves. The ticket is spent whatever becomes of the answer.
  const LogOutcome recorded = outcome.decision == v1::DECISION_ACCEPTED   ? LogOutcome::accepted
                              : outcome.decision == v1::DECISION_REJECTED ? LogOutcome::rejected
                                                                          : LogOutcome::refused;
  BAUTA_CHECK(ledger_->conclude(applicant, recorded, reading->note, reading->told));
  BAUTA_CHECK(sign_if_due());
  v1::DecideReply reply;
  *reply.mutable_answer() = asked.answer(serialize_outcome(outcome));
  return reply;
}

Status KeyServer::check_ready() {
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, store_->list());
  for (const keys::KeyRecord& record : records)
    if (record.state() == keys::KeyState::active)
      BAUTA_CHECK(store_->derive(record.id, kReadinessPurpose));
  return {};
}

}  // namespace bauta::key
