// Tickets that are not for this decision, and the limits on those that are.

#include "base/file.h"
#include "services/key/decision_log.h"
#include "tests/attacks/malicious_edge.h"
#include "tests/system/forwarding_auth.h"

namespace bauta {
namespace {

// Keeps what edges send, as a server or a listener on the way might.
class RecordingAuth final : public ForwardingAuth {
 public:
  using ForwardingAuth::ForwardingAuth;

  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& r) override {
    identification = r;
    return ForwardingAuth::identify(r);
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& r) override {
    verification = r;
    return ForwardingAuth::verify(r);
  }

  v1::IdentifyRequest identification;
  v1::VerifyRequest verification;
};

class TicketTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    start();
    for (unsigned person = 0; person < 3; ++person)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
  }
  void TearDown() override {
    edge_.reset();
    SystemTest::TearDown();
  }
  void start() {
    recorder_ = std::make_unique<RecordingAuth>(*parties_->auth);
    edge_ = parties_->make_edge("edge-1", "tenant", "fake", true, recorder_.get());
  }
  static void expect_refused(const Result<v1::IdentifyReply>& reply, const std::string& word) {
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, ErrorCode::refused) << reply.error().message;
    EXPECT_NE(reply.error().message.find(word), std::string::npos) << reply.error().message;
  }

  std::unique_ptr<RecordingAuth> recorder_;
  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(TicketTest, AReplayedRequestIsRefusedAlsoAfterARestart) {
  ASSERT_TRUE(edge_->identify("gallery", make_embedding(1, 1)).ok());
  const v1::IdentifyRequest sent = recorder_->identification;
  expect_refused(parties_->auth->identify(sent), "already");
  edge_.reset();
  parties_.reset();
  parties_ = std::make_unique<Parties>(directory_);
  expect_refused(parties_->auth->identify(sent), "already");
  start();
  EXPECT_TRUE(edge_->identify("gallery", make_embedding(1, 1)).ok());
}

TEST_F(TicketTest, AReplayedVerificationIsRefused) {
  ASSERT_TRUE(edge_->verify("gallery", subject_name(1), make_embedding(1, 1)).ok());
  const auto again = parties_->auth->verify(recorder_->verification);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::refused);
  // Nor does the ticket serve to ask for somebody else.
  v1::VerifyRequest other = recorder_->verification;
  other.set_subject(subject_name(2));
  EXPECT_FALSE(parties_->auth->verify(other).ok());
}

TEST_F(TicketTest, ATicketIsForItsProbeItsGalleryItsKindAndItsEdge) {
  parties_->create_gallery("second");
  ASSERT_TRUE(edge_->identify("gallery", make_embedding(1, 1)).ok());
  const v1::IdentifyRequest first = recorder_->identification;
  ASSERT_TRUE(edge_->verify("gallery", subject_name(1), make_embedding(1, 2)).ok());
  const v1::VerifyRequest verification = recorder_->verification;
  ASSERT_TRUE(edge_->identify("gallery", make_embedding(2, 1)).ok());
  const v1::IdentifyRequest second = recorder_->identification;

  const std::string word = "no ticket that edge";
  v1::IdentifyRequest mixed = second;
  *mixed.mutable_ticket() = first.ticket();
  expect_refused(parties_->auth->identify(mixed), word);
  mixed = first;
  mixed.clear_ticket();
  expect_refused(parties_->auth->identify(mixed), word);
  mixed = first;
  mixed.mutable_ticket()->set_issued_at_ms(first.ticket().issued_at_ms() + 1);
  expect_refused(parties_->auth->identify(mixed), word);
  mixed = first;
  mixed.mutable_ticket()->mutable_nonce()->at(0) ^= 1;
  expect_refused(parties_->auth->identify(mixed), word);
  mixed = first;
  *mixed.mutable_ticket() = verification.ticket();
  mixed.set_probe(verification.probe());
  expect_refused(parties_->auth->identify(mixed), word);
  MaliciousEdge other(*parties_, "edge-2");
  mixed = first;
  mixed.set_edge_id("edge-2");
  EXPECT_FALSE(parties_->auth->identify(mixed).ok());
}

// --- Answers

// Changes answers on their way to the edge, as a server that lies might.
class ChangingAuth final : public ForwardingAuth {
 public:
  using ForwardingAuth::ForwardingAuth;

  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& r) override {
    BAUTA_TRY(v1::IdentifyReply reply, ForwardingAuth::identify(r));
    if (change) change(reply);
    last = reply;
    return reply;
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& r) override {
    BAUTA_TRY(v1::VerifyReply reply, ForwardingAuth::verify(r));
    *reply.mutable_answer() = last.answer();
    reply.set_decision(last.decision());
    return reply;
  }
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest& r) override {
    BAUTA_TRY(v1::EnrolReply reply, ForwardingAuth::enrol(r));
    reply.mutable_answer()->mutable_outcome()->at(0) ^= 1;
    return reply;
  }

  std::function<void(v1::IdentifyReply&)> change;
  v1::IdentifyReply last;
};

TEST_F(TicketTest, TheEdgeRefusesAnAnswerThatIsNotTheKeyServicesToItsTicket) {
  ChangingAuth server(*parties_->auth);
  const auto edge = parties_->make_edge("edge-1", "tenant", "fake", true, &server);
  const auto ask = [&](unsigned person) {
    const auto reply = edge->identify("gallery", make_embedding(person, 1));
    return reply.ok() ? ErrorCode{} : reply.error().code;
  };
  EXPECT_EQ(ask(1), ErrorCode{});
  const v1::IdentifyReply former = server.last;
  ASSERT_EQ(former.decision(), v1::DECISION_ACCEPTED);
  // A stranger gets the answer to somebody else, or an own one that was changed, or none.
  server.change = [&](v1::IdentifyReply& reply) { reply = former; };
  EXPECT_EQ(ask(50), ErrorCode::refused);
  server.change = [](v1::IdentifyReply& reply) { reply.set_decision(v1::DECISION_ACCEPTED); };
  EXPECT_EQ(ask(50), ErrorCode::refused);
  server.change = [](v1::IdentifyReply& reply) {
    reply.set_decision(v1::DECISION_ACCEPTED);
    reply.mutable_answer()->mutable_outcome()->at(0) = v1::DECISION_ACCEPTED;
  };
  EXPECT_EQ(ask(50), ErrorCode::refused);
  server.change = [](v1::IdentifyReply& reply) {
    reply.set_decision(v1::DECISION_ACCEPTED);
    reply.clear_answer();
  };
  EXPECT_EQ(ask(50), ErrorCode::refused);
  // The answer to a search is none to a verification, and nothing says that somebody is enrolled.
  server.change = nullptr;
  EXPECT_EQ(ask(1), ErrorCode{});
  EXPECT_EQ(edge->verify("gallery", subject_name(2), make_embedding(50, 1)).error().code,
            ErrorCode::refused);
  EXPECT_EQ(enroll(*edge, "gallery", 60).error().code, ErrorCode::refused);
}

// --- The log

// Then nobody can change what stands there without its being found.
TEST_F(TicketTest, EveryByteOfTheLogOfSuchRequestsIsHeld) {
  ASSERT_TRUE(edge_->identify("gallery", make_embedding(1, 1)).ok());
  ASSERT_TRUE(edge_->identify("gallery", make_embedding(50, 1)).ok());
  expect_refused(parties_->auth->identify(recorder_->identification), "already");
  const auto signing_keys = parties_->key->store().signing_keys().value();
  edge_.reset();
  parties_.reset();
  const auto whole = key::verify_log(directory_ / "key", signing_keys);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->decisions, 2u);
  EXPECT_EQ(whole->refused, 1u);
  EXPECT_EQ(whole->signed_records, whole->head.sequence);
  const std::filesystem::path log = directory_ / "key" / "decisions.log";
  const Bytes good = read_file(log, 1 << 20).value();
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] ^= 0x20;
    std::ofstream(log, std::ios::binary) << as_text(changed);
    EXPECT_FALSE(key::verify_log(directory_ / "key", signing_keys).ok()) << "byte " << i;
  }
  std::ofstream(log, std::ios::binary) << as_text(good);
}

// --- Hill climbing: from a probe at the threshold towards the face behind a reference

// Tries directions at the threshold; the answers add up to the way uphill. Returns how many were
// answered before the service refused, or `over` says that more would tell nothing, and the
// similarity reached.
struct Climb {
  int answers = 0;
  double similarity = 0;
  std::string end;
};

Climb climb(MaliciousEdge& edge, const face::Embedding& target, int attempts,
            const std::function<bool()>& over) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  const auto normalised = [](face::Embedding v) {
    double norm = 0;
    for (const float x : v) norm += double{x} * x;
    for (float& x : v) x = static_cast<float>(x / std::sqrt(norm));
    return v;
  };
  const auto overlap = [](const face::Embedding& a, const face::Embedding& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  // By luck it starts at the very threshold, 0.6.
  face::Embedding side = make_embedding(77);
  const double along = overlap(side, target);
  for (size_t i = 0; i < side.size(); ++i) side[i] -= static_cast<float>(along) * target[i];
  side = normalised(side);
  face::Embedding start(side.size()), uphill(side.size());
  for (size_t i = 0; i < side.size(); ++i) start[i] = 0.6f * target[i] + 0.8f * side[i];

  Climb climb;
  for (int attempt = 0; attempt < attempts && !over(); ++attempt) {
    face::Embedding direction(start.size());
    for (float& x : direction) x = normal(random);
    direction = normalised(direction);
    face::Embedding probe(start.size());
    for (size_t i = 0; i < probe.size(); ++i) probe[i] = start[i] + 0.05f * direction[i];
    const auto reply = edge.identify(edge.encode_probe(normalised(probe)));
    if (!reply.ok()) {
      climb.end = reply.error().message;
      break;
    }
    ++climb.answers;
    const float sign = reply->decision() == v1::DECISION_ACCEPTED ? 1.0f : -1.0f;
    for (size_t i = 0; i < uphill.size(); ++i) uphill[i] += sign * direction[i];
  }
  uphill = normalised(uphill);
  for (size_t i = 0; i < start.size(); ++i) start[i] = 0.6f * start[i] + 0.8f * uphill[i];
  climb.similarity = overlap(normalised(start), target);
  return climb;
}

class HillClimbingTest : public SystemTest {
 protected:
  Climb attack() {
    const auto honest = parties_->make_edge();
    EXPECT_TRUE(enroll(*honest, "gallery", 1).ok());
    MaliciousEdge malicious(*parties_, "edge-m");
    return climb(malicious, make_embedding(1), 2000,
                 [this] { return !parties_->key->ledger().locks().empty(); });
  }
};

TEST_F(HillClimbingTest, OfASearchEndsWithThePersonLocked) {
  const Climb climb = attack();
  EXPECT_EQ(climb.end, "");
  EXPECT_EQ(climb.answers, 24);
  EXPECT_LT(climb.similarity, 0.75);
  const std::vector<key::Lock> locks = parties_->key->ledger().locks();
  ASSERT_EQ(locks.size(), 1u);
  EXPECT_EQ(locks[0].person, person_of(subject_digest("gallery", subject_name(1))));
  // No edge finds that person any more, whatever it shows; others are found.
  const auto honest = parties_->make_edge("other-edge");
  const auto answer = honest->identify("gallery", make_embedding(1, 1));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->decision, v1::DECISION_REJECTED);
  ASSERT_TRUE(enroll(*honest, "gallery", 2).ok());
  EXPECT_EQ(honest->identify("gallery", make_embedding(2, 1))->subject, subject_name(2));
  EXPECT_EQ(honest->verify("gallery", subject_name(1), make_embedding(1, 1)).error().code,
            ErrorCode::refused);
  RecordProperty("answers", climb.answers);
  RecordProperty("similarity_per_mille", static_cast<int>(1000 * climb.similarity));
  fmt::print("{} answers, similarity {:.3f}\n", climb.answers, climb.similarity);
}

class PatientHillClimbingTest : public HillClimbingTest {
 protected:
  std::string policy() const override {
    return R"({"near_per_person": 1000000, "unproven_per_person": 1000000, "decisions_per_key": 300})";
  }
};

TEST_F(PatientHillClimbingTest, MeetsTheBudgetOfTheKey) {
  const Climb climb = attack();
  EXPECT_EQ(climb.answers, 300);
  EXPECT_NE(climb.end.find("all answers of its budget (300 decisions"), std::string::npos)
      << climb.end;
}

}  // namespace
}  // namespace bauta
