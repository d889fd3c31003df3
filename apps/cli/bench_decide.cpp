// The decision alone, through the real key service with its token, its ticket checks and its log.

#include <algorithm>
#include <chrono>
#include <cmath>

#include "apps/cli/arguments.h"
#include "apps/cli/temporary_deployment.h"
#include "base/file.h"
#include "keys/embedded_token.h"
#include "match/admission.h"
#include "match/template_codec.h"
#include "secret/encryption.h"
#include "services/contract.h"
#include "services/edge/edge.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr const char* kEdge = "bench";
constexpr const char* kGalleryName = "bench";
constexpr uint32_t kBenchDimension = 128;
constexpr int kMinRuns = 20;
constexpr int kMaxRuns = 500;
constexpr double kMeasured_s = 3;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double quantile(std::vector<double> values, double share) {
  const auto place = static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(place),
                   values.end());
  return values[place];
}

// What the authentication server sends for one probe against so many references.
class Requests {
 public:
  static Result<std::unique_ptr<Requests>> create(key::KeyServer& server, const fs::path& directory,
                                                  size_t references);

  // With a ticket of its own.
  Result<v1::DecideRequest> next() {
    v1::DecideRequest request = request_;
    BAUTA_TRY(*request.mutable_origin()->mutable_ticket(), signer_.sign(scope_));
    return request;
  }

 private:
  explicit Requests(TicketSigner signer) : signer_(std::move(signer)) {}
  Status register_contract(key::KeyServer& server, const std::string& key_id);

  TicketSigner signer_;
  TicketScope scope_;
  v1::DecideRequest request_;
};

// Blocks of scores near 0, as a search leaves them for the key service.
Result<match::ScoreRequest> make_scores(const match::Parameters& parameters,
                                        const secret::SecretKey& tenant, size_t references) {
  match::ScoreRequest scores{.key_id = tenant.id(), .blocks = {}};
  std::vector<int32_t> message(
      match::kDegree,
      static_cast<int32_t>(std::lround(match::kScoreOffset * parameters.score_scale())));
  for (size_t first = 0; first < references; first += match::kDegree) {
    BAUTA_TRY(const ckks::SeededCiphertext seeded,
              secret::encrypt(tenant, message, 1, parameters.score_scale()));
    match::ScoreBlock block{expand(seeded), {}};
    for (size_t j = 0; j < std::min(match::kDegree, references - first); ++j)
      match::set_live(block.live, j);
    scores.blocks.push_back(std::move(block));
  }
  return scores;
}

Status Requests::register_contract(key::KeyServer& server, const std::string& key_id) {
  v1::EmbeddingContract contract;
  contract.set_engine("bench");
  contract.set_dimension(kBenchDimension);
  contract.set_threshold_verify(0.5);
  contract.set_threshold_identify(0.5);
  BAUTA_TRY(const v1::CreateGalleryRequest signed_contract,
            edge::contract_request(kGalleryName, key_id, contract, kEdge, signer_));
  v1::RegisterContractRequest request;
  request.set_key_id(key_id);
  *request.mutable_contract() = contract;
  request.mutable_origin()->set_gallery(kGalleryName);
  request.mutable_origin()->set_edge_id(kEdge);
  *request.mutable_origin()->mutable_ticket() = signed_contract.ticket();
  BAUTA_CHECK(server.register_contract(request));
  scope_.edge_id = kEdge;
  scope_.gallery = kGalleryName;
  scope_.key_id = key_id;
  scope_.contract = contract_digest(contract);
  return {};
}

Result<std::unique_ptr<Requests>> Requests::create(key::KeyServer& server,
                                                   const fs::path& directory, size_t references) {
  BAUTA_TRY(const keys::KeyRecord record, server.store().create("bench"));
  BAUTA_CHECK(server.store().activate(record.id));
  const std::string key_id = to_hex(record.id);
  BAUTA_CHECK(server.grant_book().give_first({{kEdge, "*", "*", grants::kAllRights}}));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(kBenchDimension));

  // The public keys, as the server has them.
  v1::GetEvaluationKeysRequest get_keys;
  get_keys.set_key_id(key_id);
  get_keys.set_dimension(kBenchDimension);
  BAUTA_TRY(const v1::EvaluationKeys files, server.get_evaluation_keys(get_keys));
  BAUTA_CHECK(write_file_atomically(directory / "galois", as_bytes(files.galois_keys())));
  BAUTA_TRY(const auto keys, match::EvaluationKeys::open(parameters, directory / "galois",
                                                         as_bytes(files.relinearization_key())));
  v1::GetEdgeSwitchingKeyRequest get_edge;
  get_edge.set_key_id(key_id);
  get_edge.set_edge_id(kEdge);
  get_edge.set_dimension(kBenchDimension);
  BAUTA_TRY(const v1::EdgeSwitchingKey switching, server.get_edge_switching_key(get_edge));
  BAUTA_CHECK(keys->add_edge(as_bytes(switching.key())));

  // A probe of the edge.
  std::vector<float> embedding(kBenchDimension, 1 / std::sqrt(static_cast<float>(kBenchDimension)));
  BAUTA_TRY(const match::TemplatePolynomial message, match::encode_probe(parameters, embedding));
  BAUTA_TRY(const secret::SecretKey edge, server.issue_edge_key(key_id, kEdge, kBenchDimension));
  BAUTA_TRY(const ckks::SeededCiphertext probe,
            secret::encrypt(edge, message.span(), 2, parameters.probe_scale()));
  const Bytes probe_bytes = match::serialize_probe(parameters, probe);
  BAUTA_TRY(const match::SwitchedProbe switched, keys->admit_probe(probe_bytes));
  BAUTA_TRY(const match::Admission admission, match::make_admission(*keys, switched));

  BAUTA_TRY(const SecretBytes edge_seed, server.issue_edge_seed(key_id, kEdge));
  BAUTA_TRY(TicketSigner signer, TicketSigner::create(edge_seed));
  std::unique_ptr<Requests> requests(new Requests(std::move(signer)));
  BAUTA_CHECK(requests->register_contract(server, key_id));
  requests->scope_.ciphertexts = sha256(sha256(probe_bytes));
  v1::DecideRequest& request = requests->request_;
  request.set_key_id(key_id);
  request.set_dimension(kBenchDimension);
  request.mutable_origin()->set_gallery(kGalleryName);
  request.mutable_origin()->set_edge_id(kEdge);
  request.mutable_origin()->set_ciphertexts(std::string(as_text(requests->scope_.ciphertexts)));
  request.set_admission(std::string(as_text(match::serialize_admission(parameters, admission))));
  {
    BAUTA_TRY(const SecretBytes seed, server.store().derive(record.id, key::kTenantPurpose));
    BAUTA_TRY(const secret::SecretKey tenant,
              secret::SecretKey::expand(parameters.ring(), seed, key::kTenantPurpose));
    BAUTA_TRY(const match::ScoreRequest scores, make_scores(parameters, tenant, references));
    request.set_scores(std::string(as_text(match::serialize_score_request(parameters, scores))));
    for (uint32_t i = 0; i < references; ++i) {
      const PersonId person = person_of(subject_digest(kGalleryName, std::to_string(i)));
      request.mutable_persons()->append(as_text(person));
    }
  }
  return requests;
}

}  // namespace

Result<Report> bench_decide(const CommonOptions&, const BenchDecideOptions& options) {
  BAUTA_TRY(const TemporaryDirectory directory, TemporaryDirectory::create());
  BAUTA_CHECK(keys::create_embedded_token(directory.path() / "token"));
  BAUTA_TRY(auto token, keys::Token::open(keys::embedded_token_config(directory.path() / "token")));
  BAUTA_TRY(auto store, keys::KeyStore::open(std::move(token), directory.path() / "key"));
  BAUTA_TRY(const auto server, key::KeyServer::open(std::move(store), directory.path() / "key"));
  BAUTA_TRY(const auto requests, Requests::create(*server, directory.path(), options.references));

  std::vector<double> round_trip, lifetime, derive;
  const auto start = Clock::now();
  for (int run = -3; run < kMaxRuns; ++run) {
    if (run >= kMinRuns && microseconds_since(start) > kMeasured_s * 1e6) break;
    BAUTA_TRY(const v1::DecideRequest request, requests->next());
    const auto sent = Clock::now();
    BAUTA_TRY(const v1::DecideReply reply, server->decide(request));
    if (run < 0) continue;  // warms up
    round_trip.push_back(microseconds_since(sent));
    lifetime.push_back(static_cast<double>(server->secret_lifetime_us()));
    derive.push_back(static_cast<double>(server->derive_us()));
  }
  const double median_us = quantile(round_trip, 0.5), derive_us = quantile(derive, 0.5);
  Report report;
  report.json = {
      {"references", options.references}, {"decisions", round_trip.size()},
      {"median_ms", median_us / 1000},    {"p99_ms", quantile(round_trip, 0.99) / 1000},
      {"per_second", 1e6 / median_us},    {"secret_lifetime_us", quantile(lifetime, 0.5)},
      {"derive_us", derive_us},           {"derive_share", derive_us / median_us}};
  report.text = fmt::format(
      "a decision on {} references: median {:.3f} ms, p99 {:.3f} ms, {:.0f} a second; the secret "
      "lives {:.0f} us, of which {:.0f} us derive it ({:.1f} % of the round trip, append to the "
      "log included)\n",
      options.references, median_us / 1000, quantile(round_trip, 0.99) / 1000, 1e6 / median_us,
      quantile(lifetime, 0.5), derive_us, 100 * derive_us / median_us);
  return report;
}

}  // namespace bauta::cli
