#include "face/evaluation.h"

#include <fstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "face/drawn_photo.h"

namespace bauta::face {
namespace {

using testing::HasSubstr;

Result<std::vector<ImagePair>> pairs_of(std::string_view text) {
  // Other tests of this file may run at the same time.
  const std::filesystem::path file =
      std::filesystem::path(testing::TempDir()) / fmt::format("pairs-{}.txt", getpid());
  BAUTA_CHECK(write_file_atomically(file, as_bytes(text)));
  return read_pairs(file, "images");
}

constexpr std::string_view kTwoFolds =
    "2\t1\n"
    "Rosaura\t1\t4\n"
    "Rosaura\t2\tZerbinetta_B\t11\n"
    "Brighella\t3\t1\n"
    "Brighella\t1\tTartaglia\t2\n";

TEST(Pairs, AreReadFoldByFold) {
  const auto pairs = pairs_of(kTwoFolds);
  ASSERT_TRUE(pairs.ok()) << pairs.error().message;
  ASSERT_EQ(pairs->size(), 4u);
  EXPECT_EQ((*pairs)[0].reference, "images/Rosaura/Rosaura_0001.jpg");
  EXPECT_EQ((*pairs)[0].probe, "images/Rosaura/Rosaura_0004.jpg");
  EXPECT_TRUE((*pairs)[0].mated);
  EXPECT_EQ((*pairs)[1].probe, "images/Zerbinetta_B/Zerbinetta_B_0011.jpg");
  EXPECT_FALSE((*pairs)[1].mated);
  EXPECT_EQ((*pairs)[1].fold, 0);
  EXPECT_EQ((*pairs)[3].fold, 1);
  EXPECT_EQ(images_of(*pairs).size(), 7u);
}

TEST(Pairs, InAnotherFormatAreRefusedWithTheLine) {
  const auto error_of = [](std::string_view text) {
    const auto pairs = pairs_of(text);
    return pairs.ok() ? "none" : pairs.error().message;
  };
  EXPECT_THAT(error_of(""), HasSubstr("Line 1 "));
  EXPECT_THAT(error_of("two one\n"), HasSubstr("Line 1 "));
  EXPECT_THAT(error_of("1 1\nRosaura 1 2\n"), HasSubstr("Line 3 "));
  EXPECT_THAT(error_of("1 1\nRosaura 1 2\nRosaura 1 Zerbinetta 1\nBrighella 1 2\n"),
              HasSubstr("Line 4 "));
  EXPECT_THAT(error_of("1 1\nRosaura 1 Zerbinetta 2\nRosaura 1 2\n"), HasSubstr("Line 2 "));
  EXPECT_THAT(error_of("1 1\nRosaura 0 2\nRosaura 1 Zerbinetta 1\n"), HasSubstr("Line 2 "));
  EXPECT_THAT(error_of("1 1\nRosaura 1 2x\nRosaura 1 Zerbinetta 1\n"), HasSubstr("Line 2 "));
  EXPECT_EQ(read_pairs("/nowhere.txt", "").error().code, ErrorCode::not_found);
}

TEST(Evaluation, CountsFailuresToEnrol) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "evaluation";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(
      write_file_atomically(folder / "face.png", *encode_png(DrawnPhoto().add({}).image())).ok());
  ASSERT_TRUE(write_file_atomically(folder / "empty.png", *encode_png(DrawnPhoto().image())).ok());
  const auto engine = make_classic_engine();
  ThreadPool threads(2);
  size_t calls = 0;
  const auto embedded = embed_images(
      {folder / "face.png", folder / "empty.png", folder / "missing.png"},
      [] { return make_haar_detector(); }, *engine, {}, threads, [&](size_t, size_t) { ++calls; });
  ASSERT_TRUE(embedded.ok());
  EXPECT_TRUE(embedded->at(folder / "face.png").embedding.has_value());
  EXPECT_THAT(embedded->at(folder / "empty.png").failure, HasSubstr("No face"));
  EXPECT_THAT(embedded->at(folder / "missing.png").failure, HasSubstr("missing.png"));
  EXPECT_EQ(calls, 3u);
}

TEST(Evaluation, PassesOnADetectorThatCannotBeMade) {
  ThreadPool threads(1);
  const auto embedded = embed_images(
      {"a.png"}, [] { return make_haar_detector("/nowhere"); }, *make_classic_engine(), {},
      threads);
  ASSERT_FALSE(embedded.ok());
  EXPECT_EQ(embedded.error().code, ErrorCode::not_found);
}

TEST(Evaluation, ScoresPairsWithTheCallersScorer) {
  const std::vector<ImagePair> pairs = {{"a", "b", true, 0}, {"a", "c", false, 1}};
  const EmbeddedImages images = {{"a", {Embedding{1, 0}, ""}},
                                 {"b", {Embedding{0.6f, 0.8f}, ""}},
                                 {"c", {std::nullopt, "no face"}}};
  const auto scored = score_pairs(pairs, images, [](const Embedding& a, const Embedding& b) {
    return Result<double>(cosine_score(a, b));
  });
  ASSERT_TRUE(scored.ok());
  EXPECT_NEAR(*(*scored)[0].score, 0.6, 1e-6);
  EXPECT_FALSE((*scored)[1].score.has_value());

  const auto broken = score_pairs(pairs, images, [](const Embedding&, const Embedding&) {
    return Result<double>(make_error(ErrorCode::unavailable, "no answer"));
  });
  EXPECT_EQ(broken.error().code, ErrorCode::unavailable);
  EXPECT_EQ(score_pairs(pairs, {}, {}).error().code, ErrorCode::invalid_argument);
}

TEST(Report, OfPerfectScoresIsPerfect) {
  std::vector<ScoredPair> pairs;
  for (int i = 0; i < 40; ++i) pairs.push_back({i % 2 == 0 ? 0.8 : 0.1, i % 2 == 0, i / 8});
  const auto report = report_pairs(pairs);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->pairs, 40u);
  EXPECT_EQ(report->folds, 5u);
  EXPECT_DOUBLE_EQ(report->accuracy_mean, 1);
  EXPECT_DOUBLE_EQ(report->accuracy_std, 0);
  EXPECT_DOUBLE_EQ(report->eer, 0);
  EXPECT_DOUBLE_EQ(report->tar_at_far_1e_2, 1);
  EXPECT_DOUBLE_EQ(report->tar_at_far_1e_3, 1);
}

// 100 mated scores 0.50 to 1.49 and 100 non-mated 0 to 0.99, in steps of 0.01: everything can be
// counted by hand.
TEST(Report, OfOverlappingScoresIsAsCounted) {
  std::vector<ScoredPair> pairs;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back({0.50 + i * 0.01, true, i % 4});
    pairs.push_back({i * 0.01, false, i % 4});
  }
  const auto report = report_pairs(pairs);
  ASSERT_TRUE(report.ok());
  EXPECT_NEAR(report->accuracy_mean, 0.75, 0.011);
  EXPECT_NEAR(report->eer, 0.25, 0.011);
  EXPECT_NEAR(report->tar_at_far_1e_2, 0.51, 1e-9);  // the threshold lies above 0.98
  EXPECT_NEAR(report->tar_at_far_1e_3, 0.50, 1e-9);  // above 0.99: none may pass
}

TEST(Report, CountsAPairWithoutScoreAsRejected) {
  std::vector<ScoredPair> pairs;
  for (int i = 0; i < 40; ++i) pairs.push_back({i % 2 == 0 ? 0.8 : 0.1, i % 2 == 0, i / 8});
  pairs[0].score.reset();
  pairs[1].score.reset();
  const auto report = report_pairs(pairs);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->failed_pairs, 2u);
  EXPECT_NEAR(report->accuracy_mean, 39 / 40.0, 1e-9);
  EXPECT_NEAR(report->tar_at_far_1e_2, 19 / 20.0, 1e-9);
}

TEST(Report, NeedsFoldsAndBothKinds) {
  EXPECT_FALSE(report_pairs({}).ok());
  EXPECT_FALSE(report_pairs({{0.5, true, 0}, {0.1, false, 0}}).ok());
  EXPECT_FALSE(report_pairs({{0.5, true, 0}, {0.1, true, 1}}).ok());
}

TEST(Calibration, IsTheLowestThresholdWithAtMostThatRate) {
  std::vector<ScoredPair> pairs;
  for (int i = 0; i < 100; ++i) {
    pairs.push_back({0.005 * i, false, 0});  // to 0.495
    pairs.push_back({0.4 + 0.005 * i, true, 0});
  }
  const auto calibration = calibrate(pairs, 0.1);
  ASSERT_TRUE(calibration.ok()) << calibration.error().message;
  EXPECT_GT(calibration->threshold, 0.445);
  EXPECT_LT(calibration->threshold, 0.45);
  EXPECT_DOUBLE_EQ(calibration->fmr, 0.1);
  EXPECT_DOUBLE_EQ(calibration->fnmr, 0.1);
  EXPECT_TRUE(calibrate(pairs, 0.01).ok());
  for (const double rate : {0.009, 0.0, 1.0}) EXPECT_FALSE(calibrate(pairs, rate).ok());
}

}  // namespace
}  // namespace bauta::face
