#include "services/key/nearness.h"

#include <gtest/gtest.h>

namespace bauta::key {
namespace {

constexpr double kThreshold = 0.5;
constexpr PersonId kAnn{1}, kBob{2}, kCid{3};

// The note of everybody who is told of, at a margin of 0.08 and a proof of 0.75.
std::map<PersonId, LogNote> told(const std::map<PersonId, double>& scores, bool ordered = false,
                                 double threshold = kThreshold) {
  std::map<PersonId, LogNote> notes;
  for (const Told& somebody : told_of(scores, threshold, ordered, Policy())) {
    EXPECT_FALSE(notes.contains(somebody.person));
    notes[somebody.person] = somebody.note;
  }
  return notes;
}
using Notes = std::map<PersonId, LogNote>;

TEST(Nearness, OfOnePersonIsTheDistanceToTheThreshold) {
  const Policy policy;
  EXPECT_EQ(nearness_of(0.41, kThreshold, policy), LogNote::none);
  EXPECT_EQ(nearness_of(0.43, kThreshold, policy), LogNote::near_match);
  EXPECT_EQ(nearness_of(0.57, kThreshold, policy), LogNote::near_hit);
  EXPECT_EQ(nearness_of(0.59, kThreshold, policy), LogNote::none);
  EXPECT_EQ(nearness_of(0.75, kThreshold, policy), LogNote::proof);
  EXPECT_EQ(nearness_of(0.75, 0.7, policy), LogNote::near_hit) << "high, but not far above";
  EXPECT_EQ(nearness_of(0.75, 0.9, policy), LogNote::none) << "a rejection proves nothing";
}

TEST(Nearness, OfASearchThatFindsNobody) {
  EXPECT_EQ(told({}), Notes());
  EXPECT_EQ(told({{kAnn, 0.41}}), Notes());
  EXPECT_EQ(told({{kAnn, 0.45}, {kBob, 0.43}}),
            (Notes{{kAnn, LogNote::near_match}, {kBob, LogNote::near_match}}));
}

TEST(Nearness, OfASearchThatFindsSomebodyAlone) {
  EXPECT_EQ(told({{kAnn, 0.55}}), (Notes{{kAnn, LogNote::near_hit}}));
  EXPECT_EQ(told({{kAnn, 0.65}}), (Notes{{kAnn, LogNote::none}}));
  EXPECT_EQ(told({{kAnn, 0.85}}), (Notes{{kAnn, LogNote::proof}}));
}

// An edge that may enrol puts a face of its own wherever it likes. Whoever is above it is shown in
// its place: it is a threshold.
TEST(Nearness, OfADecoyIsCountedLikeTheThreshold) {
  EXPECT_EQ(told({{kAnn, 0.70}, {kBob, 0.66}}),
            (Notes{{kAnn, LogNote::near_hit}, {kBob, LogNote::near_match}}));
  EXPECT_EQ(told({{kAnn, 0.74}, {kBob, 0.60}, {kCid, 0.50}}), (Notes{{kAnn, LogNote::none}}))
      << "far from each other and from the threshold";
  // A decoy far above hides what lies next to the threshold: nobody learns of it.
  EXPECT_EQ(told({{kAnn, 0.90}, {kBob, 0.51}}), (Notes{{kAnn, LogNote::proof}}));
}

// Registered twice, under two names.
TEST(Nearness, OfTwinsLeavesTheOneWhoIsShownProven) {
  EXPECT_EQ(told({{kAnn, 0.90}, {kBob, 0.89}}),
            (Notes{{kAnn, LogNote::proof}, {kBob, LogNote::near_match}}));
}

TEST(Nearness, OfSeveralThatAreShownIsInTheirOrderToo) {
  EXPECT_EQ(
      told({{kAnn, 0.72}, {kBob, 0.66}, {kCid, 0.43}}, true),
      (Notes{{kAnn, LogNote::near_hit}, {kBob, LogNote::near_hit}, {kCid, LogNote::near_match}}));
  EXPECT_EQ(told({{kAnn, 0.73}, {kBob, 0.62}}, true),
            (Notes{{kAnn, LogNote::none}, {kBob, LogNote::none}}));
}

// Whatever the scores: nobody who could be learnt of is left out.
TEST(Nearness, LeavesOutNobodyWhoseScoreACloseCallDecidedOn) {
  const Policy policy;
  for (int a = 0; a < 60; ++a) {
    for (int b = 0; b < 60; ++b) {
      const double first = 0.42 + a * 0.0083, second = 0.42 + b * 0.0083;
      const Notes notes = told({{kAnn, first}, {kBob, second}});
      // What would be answered if Ann scored otherwise.
      const auto answer = [&](double ann) {
        return std::max(ann, second) < kThreshold ? 0 : ann > second ? 1 : 2;
      };
      const bool decisive = answer(first + policy.near_margin * 0.99) != answer(first) ||
                            answer(first - policy.near_margin * 0.99) != answer(first);
      if (!decisive) continue;
      EXPECT_TRUE(notes.contains(kAnn)) << first << " " << second;
      EXPECT_NE(notes.at(kAnn), LogNote::none) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace bauta::key
