#include "match/scores.h"

#include <cmath>

#include <gtest/gtest.h>

namespace bauta::match {
namespace {

const Parameters& parameters() {
  static const Parameters of_128 = *Parameters::create(128);
  return of_128;
}

// A residue as the server leaves it, with or without the sign that the rotation may give it.
uint32_t residue_of(double score, bool negated) {
  const auto value =
      static_cast<int64_t>(std::llround((score + kScoreOffset) * parameters().score_scale()));
  const int64_t modulus = parameters().ring().primes()[0];
  return static_cast<uint32_t>(((negated ? -value : value) % modulus + modulus) % modulus);
}

TEST(DecodeScore, TakesTheOffsetAndTheSignAway) {
  for (const double score : {1.02, 1.0, 0.5, 0.35, 0.0, -0.3, -0.89})
    for (const bool negated : {false, true})
      EXPECT_NEAR(decode_score(parameters(), residue_of(score, negated)), score, 1e-8);
  // Below the offset a score is read as one that no threshold accepts.
  EXPECT_NEAR(decode_score(parameters(), residue_of(-1, false)), -0.8, 1e-8);
}

TEST(ScoreReader, TakesTheBestLivePosition) {
  std::vector<uint32_t> residues(kDegree, residue_of(1.0, false));  // decoys everywhere
  LivePositions live{};
  const auto set_score = [&](size_t j, double score, bool negated) {
    residues[j] = residue_of(score, negated);
    set_live(live, j);
  };
  set_score(7, 0.2, false);
  set_score(4095, 0.6, true);
  set_score(100, 0.5, false);
  ScoreReader reader(parameters());
  reader.read(3, residues, live);
  ASSERT_TRUE(reader.best().has_value());
  EXPECT_EQ(reader.best()->position, (Position{3, 4095}));
  EXPECT_NEAR(reader.best()->score, 0.6, 1e-8);

  // A better one in another block.
  residues.assign(kDegree, residue_of(0.0, false));
  live = {};
  set_score(0, 0.61, false);
  reader.read(4, residues, live);
  EXPECT_EQ(reader.best()->position, (Position{4, 0}));
}

TEST(ScoreReader, SetsImplausibleScoresAside) {
  std::vector<uint32_t> residues(kDegree, residue_of(0, false));
  LivePositions live{};
  residues[5] = residue_of(1.05, true);
  residues[6] = residue_of(0.4, true);
  set_live(live, 5);
  set_live(live, 6);
  ScoreReader reader(parameters());
  reader.read(0, residues, live);
  EXPECT_EQ(reader.implausible_count(), 1U);
  EXPECT_EQ(reader.best()->position, (Position{0, 6}));
}

TEST(ScoreReader, HasNoBestWithoutLivePositions) {
  ScoreReader reader(parameters());
  reader.read(0, std::vector<uint32_t>(kDegree, residue_of(1, false)), LivePositions{});
  EXPECT_FALSE(reader.best().has_value());
}

}  // namespace
}  // namespace bauta::match
