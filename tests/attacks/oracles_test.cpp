// Attack programs on the key service's answers. Each reads the tenant's whole secret from a service
// that answers as it once did (tests/attacks/insecure), on the same ciphertexts, and gets no more
// than a guess from the key service as it is, whose answers it reads by the same rule.

#include <set>

#include "base/file.h"
#include "services/key/decision_log.h"
#include "tests/attacks/crafted_ciphertexts.h"
#include "tests/attacks/insecure/insecure_oracles.h"
#include "tests/attacks/malicious_edge.h"

namespace bauta {
namespace {

using match::kDegree;

// --- The programs

// Lengths as answered, one for each admission, or why there is no answer.
using LengthOracle = std::function<Result<std::vector<double>>(const std::vector<std::string>&)>;

// Three coefficients in each squared norm, with weights 1, 3 and 9, so that its length tells all
// three; 256 admissions a call.
Recovery read_by_lengths(const CraftedCiphertexts& crafted, const LengthOracle& ask,
                         size_t max_calls) {
  constexpr double kCentre = 0.59, kStep = 0.036;
  const double unit = crafted.norm_unit(match::TemplateKind::reference);
  Recovery recovery{guess_everything(), 0, ""};
  for (size_t next = 0; next < kDegree; ++recovery.calls) {
    if (recovery.calls == max_calls) {
      recovery.end = "calls";
      break;
    }
    std::vector<std::string> admissions;
    const size_t first = next;
    for (; admissions.size() < 256 && next < kDegree; next += 3) {
      CraftedCiphertexts::Coefficients c0(kDegree), c1(kDegree);
      c0[0] = std::llround(kCentre * unit);
      int64_t weight = std::llround(kStep * unit);
      for (size_t i = next; i < std::min(next + 3, kDegree); ++i, weight *= 3)
        CraftedCiphertexts::show(c1, i, weight);
      admissions.push_back(crafted.admission(match::TemplateKind::reference, c0, c1));
    }
    const auto lengths = ask(admissions);
    if (!lengths.ok()) {
      recovery.end = lengths.error().message;
      next = first + 3 * admissions.size();  // goes on: the next ones may be answered
      continue;
    }
    for (size_t a = 0; a < admissions.size(); ++a) {
      if ((*lengths)[a] == 0) continue;
      int pattern = 0;
      double nearest = 9;
      for (int p = -13; p <= 13; ++p) {
        const double distance = std::abs(std::sqrt(kCentre + kStep * p) - (*lengths)[a]);
        if (distance < nearest) pattern = p;
        nearest = std::min(nearest, distance);
      }
      for (size_t i = first + 3 * a; i < std::min(first + 3 * a + 3, kDegree); ++i) {
        const int trit = (pattern + 13) % 3 - 1;
        recovery.coefficients[i] = trit;
        pattern = (pattern - trit) / 3;
      }
    }
  }
  return recovery;
}

// The positions that an answer names, or why there is none.
using PositionOracle =
    std::function<Result<std::vector<match::Position>>(const std::string& scores)>;

// Scores at the edge of what is plausible, each moved across it by one coefficient of the secret:
// upwards by 1 in the first block, by -1 in the second.
Recovery read_by_positions(const CraftedCiphertexts& crafted, const match::Parameters& parameters,
                           const PositionOracle& ask, size_t max_calls) {
  const double scale = parameters.score_scale();
  Recovery recovery{guess_everything(), 0, ""};
  for (; recovery.calls < max_calls && recovery.end.empty(); ++recovery.calls) {
    std::vector<match::ScoreBlock> blocks;
    for (const int sign : {1, -1}) {
      CraftedCiphertexts::Coefficients c1(kDegree);
      c1[0] = sign * std::llround(0.1 * scale);
      const CraftedCiphertexts::Coefficients c0(kDegree, std::llround(1.87 * scale));
      match::ScoreBlock block{crafted.make(1, c0, c1, scale), {}};
      block.live.fill(0xff);
      blocks.push_back(std::move(block));
    }
    const auto positions = ask(crafted.serialize(std::move(blocks)));
    if (!positions.ok()) {
      recovery.end = positions.error().message;
      continue;
    }
    if (positions->empty()) continue;
    std::ranges::fill(recovery.coefficients, 0);
    for (const match::Position& position : *positions)
      recovery.coefficients[position.coefficient] = position.block == 0 ? 1 : -1;
  }
  return recovery;
}

// --- What they are turned on

class OraclesTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    key_id_ = parties_->tenant_key();
    const SecretBytes seed =
        *parties_->key->store().derive(*key::parse_key_id(key_id_), key::kTenantPurpose);
    tenant_ = std::make_unique<secret::SecretKey>(
        *secret::SecretKey::expand(parameters_.ring(), seed, key::kTenantPurpose));
    crafted_ = std::make_unique<CraftedCiphertexts>(parameters_, tenant_->id());
    edge_ = std::make_unique<WillingSigner>(*parties_, "edge-1");
  }

  TicketScope enrolment_of(size_t references) const {
    TicketScope scope = edge_->scope(TicketKind::enrolment);
    scope.count = static_cast<uint32_t>(references);
    return scope;
  }
  v1::AdmitRequest admit_request(const std::vector<std::string>& admissions,
                                 const v1::Origin& origin) const {
    v1::AdmitRequest request;
    request.set_key_id(key_id_);
    request.set_dimension(kTestDimension);
    *request.mutable_origin() = origin;
    for (const std::string& admission : admissions) request.add_admissions(admission);
    return request;
  }
  // Reads the bytes of an answer as lengths.
  Result<std::vector<double>> lengths_of(const v1::AdmitRequest& request) {
    BAUTA_TRY(const v1::AdmitReply reply, parties_->key->admit(request));
    std::vector<double> lengths;
    for (int i = 0; i < request.admissions_size(); ++i)
      lengths.push_back(static_cast<uint8_t>(reply.answer().outcome()[static_cast<size_t>(i)]) /
                        128.0);
    return lengths;
  }
  v1::DecideRequest decide_request(const std::string& scores) const {
    v1::DecideRequest request;
    request.set_key_id(key_id_);
    request.set_dimension(kTestDimension);
    *request.mutable_origin() = edge_->origin(edge_->scope(TicketKind::identification));
    request.set_admission(crafted_->unit_probe());
    request.set_scores(scores);
    // Somebody else in every position, whoever the scores are of.
    size_t positions = 0;
    const auto parsed = match::parse_score_request(parameters_, as_bytes(scores));
    for (const match::ScoreBlock& block : parsed->blocks)
      for (size_t i = 0; i < kDegree; ++i) positions += match::is_live(block.live, i) ? 1 : 0;
    for (size_t i = 0; i < positions; ++i)
      request.mutable_persons()->append(
          as_text(person_of(sha256(as_bytes(fmt::format("{} {}", i, decisions_++))))));
    return request;
  }
  key::KeyUsage usage() {
    return parties_->key->ledger().usage(*parties_->key->store().find(*key::parse_key_id(key_id_)));
  }
  bool is_locked(const std::string& edge) {
    return std::ranges::any_of(parties_->key->ledger().locks(),
                               [&](const key::Lock& lock) { return lock.edge_id == edge; });
  }
  void expect_no_more_than_a_guess(const Recovery& recovery) {
    EXPECT_GT(static_cast<double>(recovery.wrong(*tenant_)),
              kGuessedWrong - 3 * kGuessedWrongDeviation);
    RecordProperty("wrong_of_4096", static_cast<int>(recovery.wrong(*tenant_)));
    fmt::print("{} calls, {} of {} coefficients wrong; {}\n", recovery.calls,
               recovery.wrong(*tenant_), kDegree, recovery.end);
  }

  match::Parameters parameters_ = *match::Parameters::create(kTestDimension);
  std::string key_id_;
  std::unique_ptr<secret::SecretKey> tenant_;
  std::unique_ptr<CraftedCiphertexts> crafted_;
  std::unique_ptr<WillingSigner> edge_;
  mutable size_t decisions_ = 0;
};

// --- Lengths without tickets

TEST_F(OraclesTest, LengthsForAnybodyGiveTheWholeSecret) {
  const Recovery recovery = read_by_lengths(
      *crafted_,
      [&](const std::vector<std::string>& admissions) {
        return insecure_protocol::insecure_lengths(*tenant_, parameters_, admissions, 1);
      },
      6);
  EXPECT_EQ(recovery.wrong(*tenant_), 0u);
  EXPECT_EQ(recovery.calls, 6u);
}

// All that a holder of the server's certificate has, and the ticket of nobody.
TEST_F(OraclesTest, AdmissionsWithoutATicketGiveNothingAndLockWhoIsNamed) {
  v1::Origin origin = edge_->origin(edge_->scope(TicketKind::enrolment));
  origin.clear_ticket();
  const uint64_t bits = usage().bits;
  const Recovery recovery = read_by_lengths(
      *crafted_,
      [&](const auto& admissions) { return lengths_of(admit_request(admissions, origin)); }, 10);
  expect_no_more_than_a_guess(recovery);
  EXPECT_FALSE(recovery.end.empty());
  EXPECT_EQ(usage().bits, bits) << "nothing was decrypted";
  // The same again until the end, which is for good.
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(lengths_of(admit_request({crafted_->unit_probe()}, origin)).ok());
  EXPECT_TRUE(is_locked("edge-1"));
}

TEST_F(OraclesTest, NamesThatNobodyHasOpenNoBudget) {
  for (const bool gallery : {true, false}) {
    v1::Origin origin = edge_->origin(edge_->scope(TicketKind::enrolment));
    (gallery ? *origin.mutable_gallery() : *origin.mutable_edge_id()) = "invented";
    const Recovery recovery = read_by_lengths(
        *crafted_,
        [&](const auto& admissions) { return lengths_of(admit_request(admissions, origin)); }, 10);
    expect_no_more_than_a_guess(recovery);
    EXPECT_FALSE(recovery.end.empty());
  }
  EXPECT_EQ(usage().bits, 0u);
}

// One ticket of an honest enrolment, used again and again.
TEST_F(OraclesTest, ASpentTicketGivesNothingMoreAndLocks) {
  const v1::Origin origin = edge_->origin(edge_->scope(TicketKind::enrolment));
  int answered = 0;
  for (int i = 0; i < 30; ++i)
    answered += lengths_of(admit_request({crafted_->unit_probe()}, origin)).ok() ? 1 : 0;
  EXPECT_EQ(answered, 1);
  EXPECT_TRUE(is_locked("edge-1"));
}

// --- Lengths with tickets: what an authentication server that lies can do, with an edge at hand

// For templates an answer is a bit for each reference, never a length.
TEST_F(OraclesTest, WithTicketsLengthsOfTemplatesAreNotSaid) {
  const Recovery recovery = read_by_lengths(
      *crafted_,
      [&](const auto& admissions) {
        return lengths_of(
            admit_request(admissions, edge_->origin(enrolment_of(admissions.size()))));
      },
      20);
  expect_no_more_than_a_guess(recovery);
}

// That bit is one of the secret where the server crafts what is admitted: every refusal is a crime,
// and ten of them are the end of the edge.
TEST_F(OraclesTest, WithTicketsAnEdgeIsLockedAfterTenEnrolmentsOfCraftedReferences) {
  const double unit = crafted_->norm_unit(match::TemplateKind::reference);
  Recovery recovery{guess_everything(), 0, ""};
  for (size_t next = 0; next < kDegree && recovery.end.empty();) {
    std::vector<std::string> admissions;
    const size_t first = next;
    for (; admissions.size() < 256; ++next) {
      // Within the tolerance if the coefficient is 1.
      CraftedCiphertexts::Coefficients c0(kDegree), c1(kDegree);
      c0[0] = std::llround(0.5 * unit);
      CraftedCiphertexts::show(c1, next, std::llround(0.5 * unit));
      admissions.push_back(crafted_->admission(match::TemplateKind::reference, c0, c1));
    }
    const auto lengths =
        lengths_of(admit_request(admissions, edge_->origin(enrolment_of(admissions.size()))));
    if (!lengths.ok()) {
      recovery.end = lengths.error().message;
      break;
    }
    ++recovery.calls;
    for (size_t a = 0; a < admissions.size(); ++a)
      recovery.coefficients[first + a] =
          (*lengths)[a] > 0 ? 1 : -(recovery.coefficients[first + a] & 1);
  }
  fmt::print("{} calls, {} of {} coefficients wrong\n", recovery.calls, recovery.wrong(*tenant_),
             kDegree);
  EXPECT_EQ(recovery.calls, 10u);
  EXPECT_NE(recovery.end.find("locked out"), std::string::npos) << recovery.end;
}

// In image mode the answer is a length, and no refusal ends it: 6 tickets for images are the
// secret. That the authentication server follows the protocol is the assumption; this is what it is
// worth.
TEST_F(OraclesTest, WithTicketsForImagesAServerThatLiesReadsTheSecret) {
  const Recovery recovery = read_by_lengths(
      *crafted_,
      [&](const auto& admissions) {
        TicketScope scope = enrolment_of(admissions.size());
        scope.image = true;
        return lengths_of(admit_request(admissions, edge_->origin(scope)));
      },
      20);
  fmt::print("{} calls, {} of {} coefficients wrong; {}\n", recovery.calls,
             recovery.wrong(*tenant_), kDegree, recovery.end);
  EXPECT_EQ(recovery.calls, 6u);
  EXPECT_EQ(recovery.wrong(*tenant_), 0u);
}

// --- Positions

TEST_F(OraclesTest, AListOfImplausiblePositionsGivesTheWholeSecretInOneDecision) {
  const Recovery recovery = read_by_positions(
      *crafted_, parameters_,
      [&](const std::string& scores) -> Result<std::vector<match::Position>> {
        BAUTA_TRY(auto decision,
                  insecure_protocol::insecure_decide(*tenant_, parameters_, scores, 0.6));
        EXPECT_GT(decision.implausible.size(), 2000u);
        return decision.implausible;
      },
      1);
  EXPECT_EQ(recovery.wrong(*tenant_), 0u);
}

TEST_F(OraclesTest, ADecisionNamesNoImplausiblePositionsAndCraftedOnesLock) {
  std::set<size_t> sizes;
  const Recovery recovery = read_by_positions(
      *crafted_, parameters_,
      [&](const std::string& scores) -> Result<std::vector<match::Position>> {
        BAUTA_TRY(const v1::DecideReply reply, parties_->key->decide(decide_request(scores)));
        sizes.insert(reply.SerializeAsString().size());
        BAUTA_TRY(const DecisionOutcome outcome, parse_outcome(reply.answer().outcome()));
        EXPECT_EQ(outcome.decision, v1::DECISION_REFUSED);
        std::vector<match::Position> positions;
        for (uint32_t i = 0; i < outcome.candidates; ++i)
          positions.push_back({outcome.positions[i].block, outcome.positions[i].coefficient});
        return positions;
      },
      1000);
  expect_no_more_than_a_guess(recovery);
  EXPECT_EQ(recovery.calls, 11u) << "the eleventh is refused";
  EXPECT_NE(recovery.end.find("locked out"), std::string::npos) << recovery.end;
  EXPECT_EQ(sizes.size(), 1u);
  EXPECT_EQ(usage().crimes, 10u);
  EXPECT_EQ(usage().decisions, 10u);
}

// --- The caller's threshold

TEST_F(OraclesTest, AThresholdOfTheCallersAcceptsAnybodyAndNoRequestHasOne) {
  CraftedCiphertexts::Coefficients c0(kDegree);
  c0[0] = std::llround((0.1 + match::kScoreOffset) * parameters_.score_scale());
  match::ScoreBlock block{
      crafted_->make(1, c0, CraftedCiphertexts::Coefficients(kDegree), parameters_.score_scale()),
      {}};
  match::set_live(block.live, 0);
  std::vector<match::ScoreBlock> blocks;
  blocks.push_back(std::move(block));
  const std::string scores = crafted_->serialize(std::move(blocks));
  EXPECT_TRUE(insecure_protocol::insecure_decide(*tenant_, parameters_, scores, -2)->accepted);
  const auto reply = parties_->key->decide(decide_request(scores));
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(parse_outcome(reply->answer().outcome())->decision, v1::DECISION_REJECTED);
  for (const google::protobuf::Descriptor* request :
       {v1::DecideRequest::descriptor(), v1::AdmitRequest::descriptor(), v1::Origin::descriptor()})
    for (int i = 0; i < request->field_count(); ++i) {
      const std::string name(request->field(i)->name());
      EXPECT_EQ(name.find("threshold"), std::string::npos) << name;
      EXPECT_EQ(name.find("tolerance"), std::string::npos) << name;
      EXPECT_NE(request->field(i)->cpp_type(), google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE);
    }
}

// --- One size

TEST_F(OraclesTest, RepliesToDecisionsAndAdmissionsHaveOneSizeForEveryOutcome) {
  // Score, whether the probe is one.
  const auto decide = [&](double score, bool probe) {
    CraftedCiphertexts::Coefficients c0(kDegree);
    for (size_t i = 0; i < 3; ++i)
      c0[i] = std::llround((score + match::kScoreOffset) * parameters_.score_scale());
    match::ScoreBlock block{
        crafted_->make(1, c0, CraftedCiphertexts::Coefficients(kDegree), parameters_.score_scale()),
        {}};
    for (size_t i = 0; i < 3; ++i) match::set_live(block.live, i);
    std::vector<match::ScoreBlock> blocks;
    blocks.push_back(std::move(block));
    v1::DecideRequest request = decide_request(crafted_->serialize(std::move(blocks)));
    const CraftedCiphertexts::Coefficients zero(kDegree);
    if (!probe) request.set_admission(crafted_->admission(match::TemplateKind::probe, zero, zero));
    const auto reply = parties_->key->decide(request);
    EXPECT_TRUE(reply.ok()) << reply.error().message;
    const DecisionOutcome outcome = *parse_outcome(reply->answer().outcome());
    return std::pair(outcome.decision, reply->SerializeAsString().size());
  };
  const auto accepted = decide(0.9, true), rejected = decide(0.2, true),
             refused = decide(0.9, false), implausible = decide(1.07, true);
  EXPECT_EQ(accepted.first, v1::DECISION_ACCEPTED);
  EXPECT_EQ(rejected.first, v1::DECISION_REJECTED);
  EXPECT_EQ(refused.first, v1::DECISION_REFUSED);
  EXPECT_EQ(implausible.first, v1::DECISION_REFUSED);
  for (const auto& [decision, size] : {rejected, refused, implausible})
    EXPECT_EQ(size, accepted.second);

  CraftedCiphertexts::Coefficients one(kDegree);
  const CraftedCiphertexts::Coefficients zero(kDegree);
  one[0] = std::llround(crafted_->norm_unit(match::TemplateKind::reference));
  const std::string good = crafted_->admission(match::TemplateKind::reference, one, zero);
  const std::string bad = crafted_->admission(match::TemplateKind::reference, zero, zero);
  std::set<size_t> sizes;
  for (const auto& admissions : std::vector<std::vector<std::string>>{
           {good}, {bad}, {good, bad}, std::vector<std::string>(200, good)})
    sizes.insert(
        parties_->key
            ->admit(admit_request(admissions, edge_->origin(enrolment_of(admissions.size()))))
            ->SerializeAsString()
            .size());
  TicketScope image = edge_->scope(TicketKind::enrolment);
  image.image = true;
  sizes.insert(parties_->key->admit(admit_request({good}, edge_->origin(image)))
                   ->SerializeAsString()
                   .size());
  EXPECT_EQ(sizes.size(), 1u);
}

// --- Half-integer templates

// Twice such a coefficient is 1 modulo Q, so a projection with an even sum of weights shows nothing
// of it: one in two.
TEST_F(OraclesTest, HalfIntegerTemplatesPassFewProjectionsAndNotThoseThatThereAre) {
  constexpr int kTries = 200;
  MaliciousEdge edge(*parties_, "edge-m");
  const auto& primes = parameters_.ring().primes();
  const uint64_t modulus = uint64_t{primes[0]} * primes[1];
  const double scale = parameters_.reference_scale();
  MaliciousEdge::Coefficients reference(kDegree);
  // Four halves: their squares add up to 1.
  for (size_t i = 0; i < 4; ++i)
    reference[i * parameters_.stride()] = -static_cast<int64_t>(modulus / 2);
  reference[4 * parameters_.stride()] = std::llround(scale);

  v1::GetEvaluationKeysRequest get;
  get.set_key_id(key_id_);
  get.set_dimension(kTestDimension);
  const v1::EvaluationKeys files = *parties_->key->get_evaluation_keys(get);
  ASSERT_TRUE(write_file_atomically(directory_ / "galois", as_bytes(files.galois_keys())).ok());
  const auto keys = *match::EvaluationKeys::open(parameters_, directory_ / "galois",
                                                 as_bytes(files.relinearization_key()));
  v1::GetEdgeSwitchingKeyRequest get_edge;
  get_edge.set_key_id(key_id_);
  get_edge.set_edge_id("edge-m");
  get_edge.set_dimension(kTestDimension);
  ASSERT_TRUE(
      keys->add_edge(as_bytes(parties_->key->get_edge_switching_key(get_edge)->key())).ok());

  int passed_four = 0, passed_all = 0;
  for (int i = 0; i < kTries; ++i) {
    const auto stored = keys->admit_reference(edge.encrypt_reference(reference));
    ASSERT_TRUE(stored.ok()) << stored.error().message;
    const match::Admission admission = *match::make_admission(*keys, *stored);
    const auto stray = *secret::decrypt(*tenant_, admission.stray);
    const auto projections = *secret::decrypt(*tenant_, admission.projections.front());
    const auto norm = *secret::decrypt(*tenant_, admission.squared_norm);
    const match::AdmissionResidues residues{
        {stray.limb(0), stray.limb(1)}, {projections.limb(0)}, norm.limb(0)};
    passed_four +=
        insecure_protocol::insecure_is_admitted(parameters_, admission.kind, residues, 4);
    passed_all += match::check_admission(parameters_, admission.kind, residues).ok() ? 1 : 0;
  }
  // One in two for each projection: 2^-4, and so 2^-16 for sixteen and 2^-32 for thirty-two.
  fmt::print("{} of {} pass 4 projections\n", passed_four, kTries);
  EXPECT_NEAR(passed_four, kTries / 16.0, 4 * std::sqrt(kTries / 16.0));
  EXPECT_GT(passed_four, 0);
  EXPECT_EQ(passed_all, 0);
  for (const uint32_t dimension : {64u, 128u, 200u, 512u, 1024u}) {
    const auto wide = *match::Parameters::create(dimension);
    EXPECT_GE(match::shown_projections(wide) * match::projection_ciphertexts(wide), 32u);
  }
  // Whoever tries is the edge that is locked.
  int tries = 0;
  while (tries < 100 && !is_locked("edge-m")) {
    EXPECT_FALSE(edge.enrol("vandal", reference).ok());
    ++tries;
  }
  EXPECT_EQ(tries, 10);
}

}  // namespace
}  // namespace bauta
