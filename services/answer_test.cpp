#include "services/answer.h"

#include <set>

#include <gtest/gtest.h>

namespace bauta {
namespace {

SecretBytes seed_of(uint8_t number) {
  SecretBytes seed = SecretBytes::create(32).value();
  std::ranges::fill(std::span(seed.data(), seed.size()), number);
  return seed;
}

std::vector<DecisionOutcome> outcomes(size_t positions) {
  std::vector<DecisionOutcome> all;
  for (const v1::Decision decision :
       {v1::DECISION_ACCEPTED, v1::DECISION_REJECTED, v1::DECISION_REFUSED})
    for (const uint32_t candidates : {uint32_t{0}, uint32_t{1}, static_cast<uint32_t>(positions)})
      for (const double score : {0.0, -0.25, 0.999999}) {
        DecisionOutcome outcome{decision, {}, candidates, score};
        outcome.positions.resize(positions);
        for (uint32_t i = 0; i < candidates; ++i) outcome.positions[i] = {0xffffffff - i, 4095};
        all.push_back(outcome);
      }
  return all;
}

TEST(Outcome, OfOneKeyHasOneSizeWhateverItSays) {
  for (const size_t positions : {size_t{1}, size_t{5}, size_t{1024}}) {
    std::set<size_t> sizes;
    for (const DecisionOutcome& outcome : outcomes(positions))
      sizes.insert(serialize_outcome(outcome).size());
    EXPECT_EQ(sizes.size(), 1u);
  }
}

TEST(Outcome, SerialisesAndParses) {
  for (const DecisionOutcome& outcome : outcomes(3)) {
    const std::string bytes = serialize_outcome(outcome);
    const auto parsed = parse_outcome(bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(parsed->decision, outcome.decision);
    EXPECT_EQ(parsed->candidates, outcome.candidates);
    EXPECT_EQ(parsed->evaluation_score, outcome.evaluation_score);
    EXPECT_EQ(serialize_outcome(*parsed), bytes);
  }
}

TEST(Outcome, ParseFailsIfItIsNone) {
  const std::string good = serialize_outcome(outcomes(2)[0]);
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(parse_outcome(good.substr(0, size)).error().code, ErrorCode::corrupt) << size;
  EXPECT_FALSE(parse_outcome(good + '\0').ok());
  for (const DecisionOutcome& bad : std::vector<DecisionOutcome>{
           {v1::DECISION_UNSPECIFIED, {{}}, 0, 0},
           {static_cast<v1::Decision>(4), {{}}, 0, 0},
           {v1::DECISION_ACCEPTED, {}, 0, 0},
           {v1::DECISION_ACCEPTED, {{}}, 2, 0},
           {v1::DECISION_ACCEPTED, std::vector<DecisionOutcome::Position>(1025), 1, 0}})
    EXPECT_EQ(parse_outcome(serialize_outcome(bad)).error().code, ErrorCode::corrupt);
}

TEST(Answer, AFlippedBitOfTicketOutcomeOrCodeIsRefused) {
  const AnswerCode code = AnswerCode::create(seed_of(1)).value();
  Digest ticket;
  ticket.fill(7);
  for (const DecisionOutcome& outcome : outcomes(1)) {
    const v1::Answer answer = code.make(ticket, serialize_outcome(outcome));
    ASSERT_TRUE(code.check(ticket, answer).ok());
    for (size_t bit = 0; bit < 8 * sizeof(Digest); ++bit) {
      Digest other = ticket;
      other[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      EXPECT_EQ(code.check(other, answer).error().code, ErrorCode::refused) << bit;
    }
    for (std::string* (v1::Answer::*field)() :
         {&v1::Answer::mutable_outcome, &v1::Answer::mutable_code}) {
      v1::Answer changed = answer;
      std::string& bytes = *(changed.*field)();
      for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
        EXPECT_EQ(code.check(ticket, changed).error().code, ErrorCode::refused) << bit;
        bytes[bit / 8] ^= static_cast<char>(1 << bit % 8);
      }
      const std::string whole = bytes;
      for (const std::string& other : {std::string(), whole + '\0', whole.substr(1)}) {
        bytes = other;
        EXPECT_EQ(code.check(ticket, changed).error().code, ErrorCode::refused);
      }
    }
  }
}

TEST(Answer, OfAnotherEdgeIsRefused) {
  const Digest ticket{};
  const v1::Answer answer = AnswerCode::create(seed_of(1))->make(ticket, "outcome");
  EXPECT_TRUE(AnswerCode::create(seed_of(1))->check(ticket, answer).ok());
  EXPECT_FALSE(AnswerCode::create(seed_of(2))->check(ticket, answer).ok());
  EXPECT_FALSE(AnswerCode::create(seed_of(1))->check(ticket, {}).ok());
}

}  // namespace
}  // namespace bauta
