// Who gets an answer, who does not, what it costs, and that a restart changes nothing about it.

#include "services/key/ledger.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/random.h"
#include "services/key/written_log.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

constexpr keys::KeyId kKey{7}, kNextKey{8};
constexpr int64_t kMinute_ms = 60'000;

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
  void open_on(const WrittenLog& log, const std::string& policy = "") {
    ledger_.reset();
    ASSERT_TRUE(log.save(directory_).ok());
    open(policy);
  }

  static TicketNonce fresh_nonce() {
    TicketNonce nonce;
    random_bytes(nonce);
    return nonce;
  }
  static Applicant applicant(const std::string& edge = "door",
                             TicketKind kind = TicketKind::identification, uint8_t person = 0) {
    Applicant applicant;
    applicant.key.id = kKey;
    applicant.key.tenant = "tenant";
    applicant.key.generation = 1;
    applicant.scope.kind = kind;
    applicant.scope.edge_id = edge;
    applicant.scope.gallery = "gallery";
    applicant.scope.subject[0] = person;
    applicant.ticket.set_nonce(std::string(as_text(fresh_nonce())));
    applicant.ticket.set_issued_at_ms(static_cast<uint64_t>(now_ms()));
    return applicant;
  }
  static Applicant verification(uint8_t person, const std::string& edge = "door") {
    return applicant(edge, TicketKind::verification, person);
  }
  // A whole request; whether it got its answer.
  bool ask(const Applicant& applicant, LogOutcome outcome = LogOutcome::rejected,
           LogNote note = LogNote::none, const Price& price = {1, 2}) {
    return ledger_->charge(applicant, price).ok() &&
           ledger_->conclude(applicant, outcome, note).ok();
  }
  // How many of these get an answer before one does not, of at most 1,000.
  int answers(const std::function<bool()>& request) {
    int count = 0;
    while (count < 1000 && request()) ++count;
    return count;
  }
  uint64_t records() { return ledger_->log().head().sequence; }
  static PersonId person_id(uint8_t person) { return PersonId{person}; }
  bool is_locked(const std::string& edge, const PersonId& person = {}) {
    const std::vector<Lock> locks = ledger_->locks();
    return std::ranges::any_of(locks, [&](const Lock& lock) {
      return lock.gallery == "gallery" && lock.edge_id == edge && lock.person == person;
    });
  }

  fs::path directory_;
  std::unique_ptr<Ledger> ledger_;
};

// --- Tickets

TEST_F(LedgerTest, ATicketHasOneAnswerAlsoAfterARestart) {
  for (const TicketKind kind :
       {TicketKind::identification, TicketKind::verification, TicketKind::enrolment}) {
    const Applicant first = applicant("door", kind);
    EXPECT_TRUE(ask(first));
    const Result<Charge> again = ledger_->charge(first, {1, 1});
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, ErrorCode::refused);
    EXPECT_NE(again.error().message.find("already"), std::string::npos);
    open();
    EXPECT_FALSE(ask(first));
  }
  EXPECT_TRUE(ask(applicant()));
}

TEST_F(LedgerTest, OfRequestsWithOneTicketAtTheSameTimeOneIsCharged) {
  const Applicant shared = applicant();
  std::atomic<int> charged = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] { charged += ledger_->charge(shared, {1, 1}).ok() ? 1 : 0; });
  }
  EXPECT_EQ(charged, 1);
  EXPECT_EQ(ledger_->decisions_of(kKey), 1u);
}

// Spent by the charge: whatever becomes of the answer.
TEST_F(LedgerTest, AChargeSpendsItsTicketWithoutAnOutcome) {
  const Applicant first = applicant();
  ASSERT_TRUE(ledger_->charge(first, {1, 1}).ok());
  open();
  EXPECT_EQ(ledger_->charge(first, {1, 1}).error().code, ErrorCode::refused);
  EXPECT_EQ(ledger_->decisions_of(kKey), 1u);
}

TEST_F(LedgerTest, AProcessKnowsTheTicketsOfAnother) {
  auto other = Ledger::open(directory_).value();
  const Applicant first = applicant();
  ASSERT_TRUE(ask(first));
  EXPECT_FALSE(other->charge(first, {1, 1}).ok());
  EXPECT_EQ(other->decisions_of(kKey), 1u);
}

TEST_F(LedgerTest, TicketsOutOfDateAreRefusedAndCostNothing) {
  for (const int64_t age_ms : {6 * kMinute_ms, -2 * kMinute_ms, int64_t{1} << 50}) {
    Applicant old = applicant();
    old.ticket.set_issued_at_ms(static_cast<uint64_t>(now_ms() - age_ms));
    EXPECT_EQ(ledger_->charge(old, {1, 1}).error().code, ErrorCode::refused) << age_ms;
    EXPECT_EQ(Ledger::check_fresh(old).error().code, ErrorCode::refused) << age_ms;
  }
  EXPECT_EQ(records(), 0u);
  EXPECT_TRUE(Ledger::check_fresh(applicant()).ok());
}

TEST_F(LedgerTest, OnlyWhatWasChargedIsConcludedAndOnce) {
  EXPECT_EQ(ledger_->conclude(applicant(), LogOutcome::accepted, LogNote::none).error().code,
            ErrorCode::unavailable);
  const Applicant first = applicant();
  ASSERT_TRUE(ask(first));
  EXPECT_EQ(ledger_->conclude(first, LogOutcome::accepted, LogNote::none).error().code,
            ErrorCode::unavailable);
}

// --- Budgets

TEST_F(LedgerTest, TheBudgetInDecisionsIsHardAndOutlastsARestart) {
  open(R"({"decisions_per_key": 5})");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(ask(applicant()));
  const uint64_t before = records();
  EXPECT_EQ(before, 10u);
  const Result<Charge> spent = ledger_->charge(applicant(), {1, 1});
  ASSERT_FALSE(spent.ok());
  EXPECT_EQ(spent.error().code, ErrorCode::unavailable);
  EXPECT_NE(spent.error().message.find("5 decisions"), std::string::npos);
  EXPECT_FALSE(ask(applicant("other-door")));
  EXPECT_FALSE(ask(applicant("door", TicketKind::enrolment)));
  EXPECT_EQ(records(), before + 1) << "on record once";
  open();
  EXPECT_FALSE(ask(applicant("other-door")));
  EXPECT_EQ(records(), before + 1);
  Applicant next_generation = applicant();
  next_generation.key.id = kNextKey;
  EXPECT_TRUE(ask(next_generation));
  Applicant of_its_own = applicant();
  of_its_own.key.decision_budget = 6;
  EXPECT_TRUE(ask(of_its_own));
  EXPECT_FALSE(ask(of_its_own));
}

TEST_F(LedgerTest, TheBudgetInBitsIsHardAndEnrolmentsAreChargedToIt) {
  open(R"({"bits_per_key": 100})");
  EXPECT_EQ(answers([&] { return ask(applicant(), LogOutcome::rejected, {}, {1000, 10}); }), 10);
  EXPECT_EQ(ledger_->charge(applicant("door", TicketKind::enrolment), {1, 1}).error().code,
            ErrorCode::unavailable);
  open();
  EXPECT_FALSE(ask(applicant("other-door")));

  Applicant enrolment = applicant("door", TicketKind::enrolment);
  enrolment.key.id = kNextKey;
  EXPECT_TRUE(ask(enrolment, LogOutcome::accepted, LogNote::none, {100, 100}));
  EXPECT_EQ(ledger_->decisions_of(kNextKey), 0u);
  Applicant decision = applicant();
  decision.key.id = kNextKey;
  EXPECT_EQ(ledger_->charge(decision, {1, 1}).error().code, ErrorCode::unavailable);
}

TEST_F(LedgerTest, UsageSaysWhoUsedWhatAlsoAfterARestart) {
  open(R"({"decisions_per_key": 10, "bits_per_key": 100})");
  for (int i = 0; i < 3; ++i)
    EXPECT_TRUE(ask(applicant(), LogOutcome::rejected, LogNote::none, {8, 4}));
  EXPECT_TRUE(ask(applicant("gate"), LogOutcome::refused, LogNote::implausible, {8, 4}));
  EXPECT_TRUE(ask(applicant("gate", TicketKind::enrolment), LogOutcome::accepted, {}, {50, 50}));
  for (int round = 0; round < 2; ++round) {
    const KeyUsage usage = ledger_->usage(applicant().key);
    EXPECT_EQ(usage.decisions, 4u);
    EXPECT_EQ(usage.decision_budget, 10u);
    EXPECT_EQ(usage.bits, 66u);
    EXPECT_EQ(usage.bit_budget, 100u);
    EXPECT_EQ(usage.crimes, 1u);
    EXPECT_EQ(usage.decisions_by_edge, (std::map<std::string, uint64_t>{{"door", 3}, {"gate", 1}}));
    EXPECT_DOUBLE_EQ(usage.share(), 0.66);
    open();
  }
}

TEST_F(LedgerTest, RatesAreLimitedPerEdge) {
  open(R"({"decisions_per_minute": 3})");
  // A minute may end in between.
  int answered = 0;
  for (int i = 0; i < 12; ++i) answered += ask(applicant()) ? 1 : 0;
  EXPECT_GE(answered, 3);
  EXPECT_LE(answered, 6);
  EXPECT_TRUE(ask(applicant("other-door")));
  EXPECT_TRUE(ask(applicant("door", TicketKind::enrolment)));
  EXPECT_TRUE(ledger_->locks().empty()) << "too fast is no crime";
}

// People before a camera take bad pictures; nobody takes so many as a search for weaknesses needs.
TEST_F(LedgerTest, BadPicturesAreLimitedButLockNobodyOut) {
  int measured = 0;
  for (int i = 0; i < 100; ++i) {
    Applicant picture = applicant("door", TicketKind::enrolment);
    picture.scope.image = true;
    measured += ask(picture, LogOutcome::refused, LogNote::no_length) ? 1 : 0;
  }
  // A minute may end in between.
  EXPECT_GE(measured, 10);
  EXPECT_LE(measured, 20);
  EXPECT_TRUE(ask(applicant("door", TicketKind::enrolment)));
  EXPECT_TRUE(ask(applicant()));
  EXPECT_TRUE(ledger_->locks().empty());
}

// --- Persons

TEST_F(LedgerTest, NearAnswersLockAPersonForAllEdgesForGood) {
  open(R"({"near_per_person": 6})");
  int asked = 0;
  EXPECT_EQ(answers([&] {
              const bool hit = asked++ % 2 == 0;
              return ask(verification(1, hit ? "door" : "gate"),
                         hit ? LogOutcome::accepted : LogOutcome::rejected,
                         hit ? LogNote::near_hit : LogNote::near_match);
            }),
            6);
  EXPECT_TRUE(is_locked("", person_id(1)));
  const Result<Charge> locked = ledger_->charge(verification(1, "third-door"), {1, 1});
  ASSERT_FALSE(locked.ok());
  EXPECT_EQ(locked.error().code, ErrorCode::refused);
  EXPECT_NE(locked.error().message.find("locked"), std::string::npos);
  open();
  Applicant next_generation = verification(1);
  next_generation.key.id = kNextKey;
  EXPECT_FALSE(ask(next_generation)) << "neither a restart nor a rotation unlocks";
  EXPECT_TRUE(ask(verification(2)));
  EXPECT_EQ(*ledger_->charge(applicant(), {1, 1})->locked, std::set<PersonId>{person_id(1)})
      << "and no search finds that person";
}

TEST_F(LedgerTest, AnswersWithoutTheFaceLockAPerson) {
  open(R"({"unproven_per_person": 7})");
  const auto shown = [&](const char* edge) {
    return ask(verification(1, edge), LogOutcome::accepted, LogNote::proof);
  };
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(ask(verification(1)));
  EXPECT_TRUE(shown("door"));
  EXPECT_TRUE(shown("gate"));
  EXPECT_EQ(answers([&] {
              // Another edge's proof pays for nothing.
              return shown("gate") && ask(verification(1));
            }),
            7);
  EXPECT_TRUE(is_locked("", person_id(1)));
  EXPECT_TRUE(ask(verification(2)));
}

TEST_F(LedgerTest, ASearchCountsForEverybodyOfWhomItTells) {
  open(R"({"near_per_person": 3})");
  const auto search = [&](std::vector<Told> told, const char* edge = "door") {
    const Applicant searching = applicant(edge);
    return ledger_->charge(searching, {9, 3}).ok() &&
           ledger_->conclude(searching, LogOutcome::rejected, LogNote::none, told).ok();
  };
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(search({{person_id(1), LogNote::none}}));
  EXPECT_TRUE(ledger_->locks().empty());
  EXPECT_TRUE(search({{person_id(1), LogNote::near_hit}, {person_id(2), LogNote::near_match}}));
  open();
  EXPECT_TRUE(search({{person_id(2), LogNote::near_match}}, "gate"));
  EXPECT_TRUE(search({{person_id(1), LogNote::proof}, {person_id(2), LogNote::near_match}}));
  EXPECT_TRUE(is_locked("", person_id(2))) << "misses count like hits, and over all edges";
  EXPECT_FALSE(is_locked("", person_id(1)));
  EXPECT_FALSE(ask(verification(2)));
  open();
  EXPECT_EQ(*ledger_->charge(applicant(), {1, 1})->locked, std::set<PersonId>{person_id(2)});
  EXPECT_TRUE(ledger_->charge(applicant("door", TicketKind::identification), {1, 1}).ok())
      << "others are searched for";
  ASSERT_TRUE(ledger_->clear(ledger_->locks().front()).ok());
  EXPECT_TRUE(ledger_->charge(applicant(), {1, 1})->locked->empty());
}

// Many at once were charged before the first of them came to an end.
TEST_F(LedgerTest, AnswersThatAreOnTheirWayTogetherDoNotPassALimitTogether) {
  open(R"({"near_per_person": 3})");
  std::vector<Applicant> searches, verifications;
  for (int i = 0; i < 10; ++i) {
    searches.push_back(applicant());
    verifications.push_back(verification(2));
    ASSERT_TRUE(ledger_->charge(searches.back(), {9, 3}).ok());
    ASSERT_TRUE(ledger_->charge(verifications.back(), {1, 1}).ok());
  }
  const Told told[] = {{person_id(1), LogNote::near_match}};
  int found = 0, verified = 0;
  for (int i = 0; i < 10; ++i) {
    const Status search = ledger_->conclude(searches[i], LogOutcome::rejected, LogNote::none, told);
    const Status verification =
        ledger_->conclude(verifications[i], LogOutcome::accepted, LogNote::near_hit);
    found += search.ok() ? 1 : 0;
    verified += verification.ok() ? 1 : 0;
    if (!search.ok()) {
      EXPECT_EQ(search.error().code, ErrorCode::busy);
    }
    if (!verification.ok()) {
      EXPECT_EQ(verification.error().code, ErrorCode::refused);
    }
  }
  EXPECT_EQ(found, 3);
  EXPECT_EQ(verified, 3);
}

// --- Crimes

TEST_F(LedgerTest, CraftedRequestsLockAnEdge) {
  const std::pair<const char*, LogNote> crimes[] = {{"a", LogNote::no_template},
                                                    {"b", LogNote::implausible},
                                                    {"c", LogNote::bad_ticket},
                                                    {"d", LogNote::spent_ticket},
                                                    {"e", LogNote::crowd}};
  for (const auto& [edge, note] : crimes) {
    EXPECT_EQ(answers([&] { return ask(applicant(edge), LogOutcome::refused, note); }), 10) << edge;
    EXPECT_TRUE(is_locked(edge));
  }
  EXPECT_TRUE(ask(applicant()));
  open();
  for (const auto& [edge, note] : crimes) EXPECT_FALSE(ask(applicant(edge))) << edge;
}

TEST_F(LedgerTest, RequestsThatWereChargedNothingAreCrimesToo) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ledger_->refused(applicant(), LogNote::bad_ticket).ok());
  EXPECT_FALSE(ask(applicant()));
}

// The ticket of such a request is not the edge's, or not for this: it spends none.
TEST_F(LedgerTest, ARefusedRequestSpendsNobodysTicket) {
  const Applicant first = applicant();
  ASSERT_TRUE(ledger_->refused(first, LogNote::bad_ticket).ok());
  EXPECT_TRUE(ask(first));
}

TEST_F(LedgerTest, SpentTicketsAgainAndAgainLockAnEdge) {
  const Applicant first = applicant();
  ASSERT_TRUE(ask(first));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(ask(first));
  EXPECT_FALSE(ask(applicant()));
  EXPECT_TRUE(is_locked("door"));
}

// --- Locks

TEST_F(LedgerTest, ALockIsClearedByNameAndStaysCleared) {
  open(R"({"near_per_person": 2})");
  for (int i = 0; i < 10; ++i) (void)ledger_->refused(applicant(), LogNote::bad_ticket);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(ask(verification(1, "gate"), LogOutcome::accepted, LogNote::near_hit));
  const std::vector<Lock> locks = ledger_->locks();
  ASSERT_EQ(locks.size(), 2u);
  for (const Lock& lock : locks) {
    EXPECT_NEAR(static_cast<double>(lock.since_ms), static_cast<double>(now_ms()), 60'000);
    EXPECT_TRUE(ledger_->clear(lock).ok());
    EXPECT_EQ(ledger_->clear(lock).error().code, ErrorCode::not_found);
  }
  open();
  EXPECT_TRUE(ledger_->locks().empty());
  EXPECT_TRUE(ask(applicant()));
  EXPECT_TRUE(ask(verification(1), LogOutcome::accepted, LogNote::near_hit)) << "counts anew";
  EXPECT_FALSE(is_locked("", person_id(1)));
}

// --- What a process left behind

LogEntry charge_entry(LogCharge charge, const TicketNonce& nonce) {
  return {.event = LogEvent::charged,
          .outcome = LogOutcome::accepted,
          .key = kKey,
          .nonce = nonce,
          .gallery = "gallery",
          .edge_id = "door",
          .person = charge == LogCharge::verification ? PersonId{1} : PersonId{},
          .charge = charge,
          .positions = 1,
          .bits = 2};
}

TEST_F(LedgerTest, AnAbandonedChargeCountsAsTheWorst) {
  WrittenLog log;
  for (int i = 0; i < 2; ++i)
    log.add(charge_entry(LogCharge::verification, fresh_nonce()), now_ms() - kMinute_ms);
  log.add(charge_entry(LogCharge::identification, fresh_nonce()), now_ms() - kMinute_ms);
  open_on(log, R"({"near_per_person": 4})");
  EXPECT_TRUE(ask(applicant("gate")));  // finds them
  EXPECT_EQ(records(), 3u + 3u + 2u);
  EXPECT_EQ(answers([&] {
              return ask(verification(1, "gate"), LogOutcome::accepted, LogNote::near_hit);
            }),
            2)
      << "two of four were used up; the answer to a search never left, and told of nobody";
}

TEST_F(LedgerTest, ManyAbandonedChargesLockAtOnce) {
  WrittenLog log;
  for (int i = 0; i < 60; ++i)
    log.add(charge_entry(LogCharge::verification, fresh_nonce()), now_ms() - kMinute_ms);
  open_on(log);
  EXPECT_TRUE(ask(applicant("gate")));
  EXPECT_TRUE(is_locked("", person_id(1)));
  EXPECT_FALSE(ask(verification(1, "gate")));
}

TEST_F(LedgerTest, AnAnswerThatComesTooLateIsGivenUp) {
  WrittenLog log;
  const Applicant late = applicant();
  TicketNonce nonce;
  std::ranges::copy(as_bytes(late.ticket.nonce()), nonce.begin());
  log.add(charge_entry(LogCharge::identification, nonce), now_ms() - kMinute_ms);
  open_on(log);
  ASSERT_TRUE(ask(applicant("gate")));
  EXPECT_EQ(ledger_->conclude(late, LogOutcome::accepted, LogNote::none).error().code,
            ErrorCode::unavailable);
}

TEST_F(LedgerTest, ALogFromBeforeThereWereChargesIsUnderstood) {
  WrittenLog log;
  const auto add = [&](LogEvent event, LogOutcome outcome, LogNote note, const TicketNonce& nonce) {
    log.add({.event = event,
             .outcome = outcome,
             .note = note,
             .key = kKey,
             .nonce = nonce,
             .gallery = "gallery",
             .edge_id = "door"},
            now_ms(), WrittenLog::Format::before_charges);
  };
  const Applicant spent = applicant();
  TicketNonce nonce;
  std::ranges::copy(as_bytes(spent.ticket.nonce()), nonce.begin());
  add(LogEvent::key_created, LogOutcome::accepted, LogNote::none, {});
  add(LogEvent::identification, LogOutcome::accepted, LogNote::none, nonce);
  add(LogEvent::identification, LogOutcome::rejected, LogNote::near_match, fresh_nonce());
  add(LogEvent::verification, LogOutcome::rejected, LogNote::none, fresh_nonce());
  add(LogEvent::identification, LogOutcome::refused, LogNote::no_template, fresh_nonce());
  add(LogEvent::admission, LogOutcome::refused, LogNote::no_template, {});
  add(LogEvent::lock_out, LogOutcome::refused, LogNote::none, {});
  open_on(log);
  EXPECT_EQ(records(), 7u);
  EXPECT_EQ(ledger_->decisions_of(kKey), 3u);
  EXPECT_EQ(ledger_->usage(spent.key).crimes, 2u);
  EXPECT_EQ(ledger_->charge(spent, {1, 1}).error().code, ErrorCode::refused);
  EXPECT_TRUE(ask(applicant())) << "a lock-out of that time has ended";
  open();
  EXPECT_EQ(ledger_->decisions_of(kKey), 4u) << "both formats in one log";
}

// --- Keys for evaluation, contracts, policies

TEST_F(LedgerTest, EvaluationKeysAreHeldToTicketsAlone) {
  open(R"({"decisions_per_minute": 1, "decisions_per_key": 1, "bits_per_key": 1,
           "near_per_person": 1, "crafted_requests": 1})");
  for (int i = 0; i < 50; ++i) {
    Applicant measuring = applicant();
    measuring.key.evaluation = true;
    EXPECT_TRUE(ask(measuring, LogOutcome::rejected, LogNote::near_match));
    EXPECT_FALSE(ask(measuring));
  }
  EXPECT_TRUE(ledger_->locks().empty());
}

TEST_F(LedgerTest, KnowsWhichContractsAreOnRecord) {
  ASSERT_TRUE(ledger_->changed(LogEvent::contract_registered, kKey, "a", "door").ok());
  ASSERT_TRUE(ledger_->changed(LogEvent::contract_registered, kNextKey, "b", "door").ok());
  ASSERT_TRUE(ledger_->refused(applicant("door", TicketKind::contract), LogNote::bad_ticket).ok());
  open();
  EXPECT_EQ(ledger_->contracts(),
            (std::map<std::string, keys::KeyId>{{"a", kKey}, {"b", kNextKey}}));
}

TEST_F(LedgerTest, APolicyThatIsNoneIsRefused) {
  for (const char* text : {"", "[]", R"({"near_per_person": "long"})", R"({"near_margin": -1})",
                           R"({"decisions_per_key": 1e300})", R"({"bits_per_key": null})"}) {
    ASSERT_TRUE(write_file_atomically(directory_ / "policy.json", as_bytes(text)).ok());
    EXPECT_EQ(read_policy(directory_).error().code, ErrorCode::corrupt) << text;
  }
}

}  // namespace
}  // namespace bauta::key
