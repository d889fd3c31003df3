// Who gets a decision, who does not, and that a restart changes nothing about it.

#include "services/key/ledger.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

class LedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-ledger-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    open();
  }
  void TearDown() override { fs::remove_all(directory_); }

  void open(const std::string& policy = "") {
    if (!policy.empty()) {
      ASSERT_TRUE(write_file_atomically(directory_ / "policy.json", as_bytes(policy)).ok());
    }
    ledger_.reset();
    auto opened = Ledger::open(directory_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    ledger_ = std::move(*opened);
  }

  static Applicant applicant(const std::string& edge = "door", bool verification = false) {
    Applicant applicant;
    applicant.key.id = {7};
    applicant.key.tenant = "tenant";
    applicant.key.generation = 1;
    applicant.scope.edge_id = edge;
    applicant.scope.gallery = "gallery";
    applicant.scope.verification = verification;
    TicketNonce nonce;
    random_bytes(nonce);
    applicant.ticket.set_nonce(std::string(as_text(nonce)));
    applicant.ticket.set_issued_at_ms(static_cast<uint64_t>(now_ms()));
    return applicant;
  }
  // A whole request; whether it got its decision.
  bool decide(const Applicant& applicant, LogOutcome outcome = LogOutcome::rejected,
              LogNote note = LogNote::none) {
    return ledger_->check(applicant).ok() && ledger_->decided(applicant, outcome, note).ok();
  }

  fs::path directory_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerTest, ATicketHasOneDecisionAlsoAfterARestart) {
  const Applicant first = applicant();
  EXPECT_TRUE(decide(first));
  const Status again = ledger_->check(first);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::refused);
  EXPECT_NE(again.error().message.find("already"), std::string::npos);
  open();
  EXPECT_FALSE(decide(first));
  EXPECT_TRUE(decide(applicant()));
}

// Two requests with one ticket at work at the same time: the second finds out at the end.
TEST_F(LedgerTest, OfTwoRequestsWithOneTicketOneIsDecided) {
  const Applicant twice = applicant();
  ASSERT_TRUE(ledger_->check(twice).ok());
  ASSERT_TRUE(ledger_->check(twice).ok());
  EXPECT_TRUE(ledger_->decided(twice, LogOutcome::accepted, LogNote::none).ok());
  EXPECT_EQ(ledger_->decided(twice, LogOutcome::accepted, LogNote::none).error().code,
            ErrorCode::refused);
}

TEST_F(LedgerTest, AProcessKnowsTheTicketsOfAnother) {
  auto other = Ledger::open(directory_).value();
  const Applicant first = applicant();
  ASSERT_TRUE(decide(first));
  EXPECT_FALSE(other->check(first).ok());
  EXPECT_EQ(other->decisions_of(first.key.id), 1u);
}

TEST_F(LedgerTest, TicketsOutOfDateAreRefused) {
  for (const int64_t age_ms : {int64_t{6 * 60'000}, int64_t{-2 * 60'000}, int64_t{1} << 50}) {
    Applicant old = applicant();
    old.ticket.set_issued_at_ms(static_cast<uint64_t>(now_ms() - age_ms));
    EXPECT_EQ(ledger_->check(old).error().code, ErrorCode::refused) << age_ms;
  }
}

TEST_F(LedgerTest, ARefusedProbeSpendsItsTicket) {
  const Applicant first = applicant();
  ASSERT_TRUE(ledger_->refused(first, LogNote::no_template).ok());
  EXPECT_FALSE(ledger_->check(first).ok());
}

TEST_F(LedgerTest, TheBudgetOfAKeyIsHardAndOutlastsARestart) {
  open(R"({"decisions_per_key": 5})");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(decide(applicant()));
  EXPECT_EQ(ledger_->log().head().sequence, 5u);
  const Status spent = ledger_->check(applicant());
  ASSERT_FALSE(spent.ok());
  EXPECT_FALSE(decide(applicant("other-door")));
  EXPECT_EQ(ledger_->log().head().sequence, 6u) << "once";
  EXPECT_NE(spent.error().message.find("all 5 decisions"), std::string::npos);
  open();
  EXPECT_FALSE(decide(applicant("other-door")));
  Applicant next_generation = applicant();
  next_generation.key.id = {8};
  EXPECT_TRUE(decide(next_generation));
  Applicant of_its_own = applicant();
  of_its_own.key.decision_budget = 6;
  EXPECT_TRUE(decide(of_its_own));
}

TEST_F(LedgerTest, RatesAreLimitedPerEdge) {
  open(R"({"decisions_per_minute": 3})");
  // A minute may end in between.
  int decided = 0;
  for (int i = 0; i < 12; ++i) decided += decide(applicant()) ? 1 : 0;
  EXPECT_GE(decided, 3);
  EXPECT_LE(decided, 6);
  EXPECT_TRUE(decide(applicant("other-door")));
}

// How many requests of this kind are decided before the edge is locked out.
#define EXPECT_LOCKED_OUT_AFTER(at_least, at_most, request)                  \
  do {                                                                       \
    int requests = 0;                                                        \
    while (requests <= (at_most) && ledger_->check(applicant()).ok()) {      \
      request;                                                               \
      ++requests;                                                            \
    }                                                                        \
    EXPECT_GE(requests, at_least);                                           \
    EXPECT_LE(requests, at_most);                                            \
    const Status locked = ledger_->check(applicant());                       \
    ASSERT_FALSE(locked.ok());                                               \
    EXPECT_NE(locked.error().message.find("locked out"), std::string::npos); \
  } while (false)

TEST_F(LedgerTest, ManyNearMatchesLockAnEdgeOut) {
  EXPECT_LOCKED_OUT_AFTER(30, 60, decide(applicant(), LogOutcome::rejected, LogNote::near_match));
  EXPECT_TRUE(decide(applicant("other-door")));
  open();
  EXPECT_FALSE(decide(applicant())) << "a restart must not unlock";
  EXPECT_FALSE(ledger_->check_admission("door", "gallery", false).ok());
  EXPECT_FALSE(ledger_->check_admission("door", "gallery", true).ok());
}

TEST_F(LedgerTest, ABusyDoorWithSomeNearMatchesIsNotLockedOut) {
  for (int i = 0; i < 400; ++i)
    ASSERT_TRUE(decide(applicant(), LogOutcome::rejected,
                       i % 5 == 0 ? LogNote::near_match : LogNote::none));
}

TEST_F(LedgerTest, EnumerationByVerificationLocksAnEdgeOut) {
  EXPECT_LOCKED_OUT_AFTER(100, 200, decide(applicant("door", true), LogOutcome::rejected));
}

TEST_F(LedgerTest, CraftedRequestsLockAnEdgeOut) {
  EXPECT_LOCKED_OUT_AFTER(10, 20, (void)ledger_->refused(applicant(), LogNote::no_template));
}

TEST_F(LedgerTest, RefusedReferencesLockAnEdgeOut) {
  EXPECT_LOCKED_OUT_AFTER(
      10, 20, (void)ledger_->refused_admission({7}, "door", "gallery", LogNote::no_template));
}

// People before a camera take bad pictures; nobody takes so many as a search for weaknesses needs.
TEST_F(LedgerTest, BadPicturesAreLimitedButLockNobodyOut) {
  int measured = 0;
  for (int i = 0; i < 100; ++i)
    if (ledger_->check_admission("door", "gallery", true).ok()) {
      ++measured;
      ASSERT_TRUE(ledger_->refused_admission({7}, "door", "gallery", LogNote::no_length).ok());
    }
  // A minute may end in between.
  EXPECT_GE(measured, 10);
  EXPECT_LE(measured, 20);
  EXPECT_TRUE(ledger_->check_admission("door", "gallery", false).ok());
  EXPECT_TRUE(ledger_->check_admission("other-door", "gallery", true).ok());
  EXPECT_TRUE(decide(applicant()));
}

TEST_F(LedgerTest, SpentTicketsAgainAndAgainLockAnEdgeOut) {
  const Applicant first = applicant();
  ASSERT_TRUE(decide(first));
  EXPECT_LOCKED_OUT_AFTER(10, 20, (void)ledger_->check(first));
}

TEST_F(LedgerTest, ALockOutEnds) {
  open(R"({"lock_out_s": 0})");
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(decide(applicant(), LogOutcome::rejected, LogNote::near_match));
}

TEST_F(LedgerTest, EvaluationKeysAreHeldToTicketsAlone) {
  open(R"({"decisions_per_minute": 1, "decisions_per_key": 1})");
  for (int i = 0; i < 50; ++i) {
    Applicant measuring = applicant();
    measuring.key.evaluation = true;
    EXPECT_TRUE(decide(measuring, LogOutcome::rejected, LogNote::near_match));
    EXPECT_FALSE(decide(measuring));
  }
}

TEST_F(LedgerTest, APolicyThatIsNoneIsRefused) {
  for (const char* text : {"", "[]", "{\"lock_out_s\": \"long\"}", "{\"lock_out_s\": -1}"}) {
    ASSERT_TRUE(write_file_atomically(directory_ / "policy.json", as_bytes(text)).ok());
    EXPECT_EQ(read_policy(directory_).error().code, ErrorCode::corrupt) << text;
  }
}

}  // namespace
}  // namespace bauta::key
