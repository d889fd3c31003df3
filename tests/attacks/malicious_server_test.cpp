// An authentication server that does not follow the protocol recovers the tenant's secret key. That
// it follows it is the assumption that SECURITY.md states; here the attack is shown, and what it
// needs: a ticket of an edge for every answer, and the budget of the key.

#include "base/file.h"
#include "match/admission.h"
#include "match/template_codec.h"
#include "tests/attacks/malicious_edge.h"

namespace bauta {
namespace {

class MaliciousServerTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    parameters_ = std::make_unique<match::Parameters>(*match::Parameters::create(kTestDimension));
    key_id_ = parties_->tenant_key();
    const SecretBytes seed = *parties_->key->issue_edge_seed(key_id_, "edge-1");
    signer_ = std::make_unique<WillingSigner>(*parties_, "edge-1");
    make_admission(seed);
  }

  // An honest probe passed by; its admission serves for every ciphertext after it.
  void make_admission(const SecretBytes& seed) {
    v1::GetEvaluationKeysRequest get;
    get.set_key_id(key_id_);
    get.set_dimension(kTestDimension);
    const v1::EvaluationKeys files = *parties_->key->get_evaluation_keys(get);
    ASSERT_TRUE(write_file_atomically(directory_ / "galois", as_bytes(files.galois_keys())).ok());
    const auto keys = *match::EvaluationKeys::open(*parameters_, directory_ / "galois",
                                                   as_bytes(files.relinearization_key()));
    v1::GetEdgeSwitchingKeyRequest get_edge;
    get_edge.set_key_id(key_id_);
    get_edge.set_edge_id("edge-1");
    get_edge.set_dimension(kTestDimension);
    ASSERT_TRUE(
        keys->add_edge(as_bytes(parties_->key->get_edge_switching_key(get_edge)->key())).ok());
    const auto edge_key = secret::SecretKey::expand(parameters_->ring(), seed, kEdgeSecretPurpose);
    const auto message = match::encode_probe(*parameters_, make_embedding(1));
    probe_ = match::serialize_probe(
        *parameters_, *secret::encrypt(*edge_key, message->span(), 2, parameters_->probe_scale()));
    const auto switched = keys->admit_probe(probe_);
    admission_ = match::serialize_admission(*parameters_, *match::make_admission(*keys, *switched));
    tenant_id_ = keys->key_id();
  }

  // Whether c0 + c1*s has, in coefficient 0, a score at or above the threshold: with c0 = 0.3 below
  // it and c1 = factor * X^exponent.
  Result<v1::DecideReply> ask(size_t exponent, int sign) {
    const double scale = parameters_->score_scale();
    const ring::Basis basis = parameters_->ring().ciphertext_moduli().prefix(1);
    std::vector<int64_t> c0(match::kDegree), c1(match::kDegree);
    c0[0] = std::llround((0.3 + match::kScoreOffset) * scale);
    c1[exponent] = sign * std::llround(0.6 * scale);
    match::ScoreRequest scores{.key_id = tenant_id_, .blocks = {}};
    scores.blocks.push_back(
        {{ring::from_signed(c0, basis), ring::from_signed(c1, basis), scale, tenant_id_}, {}});
    match::set_live(scores.blocks[0].live, 0);
    v1::DecideRequest request;
    request.set_key_id(key_id_);
    request.set_dimension(kTestDimension);
    TicketScope scope = signer_->scope(TicketKind::identification);
    scope.ciphertexts = sha256(sha256(probe_));
    *request.mutable_origin() = signer_->origin(scope);
    request.set_admission(std::string(as_text(admission_)));
    request.set_scores(std::string(as_text(match::serialize_score_request(*parameters_, scores))));
    // Whoever the server says it is.
    request.set_persons(as_text(person_of(sha256(as_bytes(std::to_string(asked_++))))).data(), 4);
    return parties_->key->decide(request);
  }

  // How many coefficients are known before the service refuses.
  size_t recover(size_t wanted) {
    const SecretBytes seed =
        *parties_->key->store().derive(*key::parse_key_id(key_id_), key::kTenantPurpose);
    const auto secret = secret::SecretKey::expand(parameters_->ring(), seed, key::kTenantPurpose);
    size_t known = 0;
    for (size_t exponent = 1; exponent <= wanted; ++exponent) {
      int shown = 0;
      for (const int sign : {1, -1}) {
        const Result<v1::DecideReply> reply = ask(exponent, sign);
        if (!reply.ok()) {
          end_ = reply.error().message;
          return known;
        }
        ++answers_;
        if (parse_outcome(reply->answer().outcome())->decision == v1::DECISION_ACCEPTED) {
          shown = sign;
          break;
        }
      }
      // X^exponent * s has -s[N - exponent] in coefficient 0.
      EXPECT_EQ(-shown, secret->coefficients().data()[match::kDegree - exponent]);
      ++known;
    }
    return known;
  }

  std::unique_ptr<match::Parameters> parameters_;
  std::string key_id_, end_;
  std::unique_ptr<WillingSigner> signer_;
  Bytes probe_, admission_;
  ckks::KeyId tenant_id_;
  size_t answers_ = 0, asked_ = 0;
};

TEST_F(MaliciousServerTest, RecoversTheTenantsKeyAnswerByAnswer) {
  EXPECT_EQ(recover(60), 60u) << end_;
  EXPECT_LT(answers_, 120u);
}

class BudgetedKeyTest : public MaliciousServerTest {
  std::string policy() const override { return R"({"decisions_per_key": 30})"; }
};

TEST_F(BudgetedKeyTest, EndsTheRecoveryOfItsSecret) {
  EXPECT_LT(recover(60), 30u);
  EXPECT_EQ(answers_, 30u);
  EXPECT_NE(end_.find("budget"), std::string::npos) << end_;
}

}  // namespace
}  // namespace bauta
