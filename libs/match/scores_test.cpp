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

// --- Whom it watches

constexpr Pseudonym kAnn{1}, kBob{2}, kCid{3};

// Scores at coefficients 0, 10, 20 ... of one block.
struct Block {
  explicit Block(std::initializer_list<double> scores) : residues(kDegree, residue_of(0.9, false)) {
    size_t j = 0;
    for (const double score : scores) {
      residues[j] = residue_of(score, false);
      set_live(live, j);
      j += 10;
    }
  }
  std::vector<uint32_t> residues;
  LivePositions live{};
};

ScoreReader watching(const Watch& watch) {
  return ScoreReader(parameters(), 1, kPlausibleScore, Flood::none(), 1, watch);
}

TEST(ScoreReader, NotesTheBestScoreOfEverybodyAboveTheFloor) {
  ScoreReader reader = watching({.floor = 0.4});
  const std::vector<Pseudonym> persons{kAnn, kBob, kAnn, kCid, kBob};
  const Block first({0.5, 0.45, 0.6}), second({0.39, 0.7});
  size_t read = reader.read(0, first.residues, first.live, persons);
  EXPECT_EQ(read, 3u);
  read += reader.read(1, second.residues, second.live, std::span(persons).subspan(read));
  EXPECT_EQ(read, 5u);
  ASSERT_EQ(reader.watched().size(), 2u);
  EXPECT_NEAR(reader.watched().at(kAnn), 0.6, 1e-8);
  EXPECT_NEAR(reader.watched().at(kBob), 0.7, 1e-8);
  EXPECT_EQ(reader.best()->position, (Position{1, 10}));
  EXPECT_FALSE(reader.crowded());
}

TEST(ScoreReader, FindsNobodyWhoIsPassedOver) {
  const std::set<Pseudonym> locked{kAnn, kCid};
  ScoreReader reader = watching({.floor = 0.4, .passed_over = &locked});
  const Block block({0.8, 0.5, 0.7});
  reader.read(0, block.residues, block.live, std::vector<Pseudonym>{kAnn, kBob, kCid});
  EXPECT_EQ(reader.best()->position, (Position{0, 10}));
  EXPECT_EQ(reader.watched().size(), 1u);
}

TEST(ScoreReader, SaysThatItSawACrowd) {
  const Block block({0.5, 0.5, 0.5});
  for (const size_t most : {1, 2, 3}) {
    ScoreReader reader = watching({.floor = 0.4, .persons = most});
    reader.read(0, block.residues, block.live, std::vector<Pseudonym>{kAnn, kBob, kCid});
    EXPECT_EQ(reader.crowded(), most < 3);
    EXPECT_LE(reader.watched().size(), most + 1);
  }
}

TEST(ScoreReader, HasNoBestWithoutLivePositions) {
  ScoreReader reader(parameters());
  reader.read(0, std::vector<uint32_t>(kDegree, residue_of(1, false)), LivePositions{});
  EXPECT_FALSE(reader.best().has_value());
}

}  // namespace
}  // namespace bauta::match
