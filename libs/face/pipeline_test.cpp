#include "face/pipeline.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "face/drawn_photo.h"

namespace bauta::face {
namespace {

using testing::HasSubstr;

std::unique_ptr<Detector> haar() {
  auto detector = make_haar_detector();
  BAUTA_ASSERT(detector.ok());
  return std::move(detector).value();
}

// The name of the reason why the photo is refused, or "found".
std::string judgement(const DrawnPhoto& photo, const FaceOptions& options = {}) {
  const auto outcome = find_face(photo.image(), *haar(), options);
  if (!outcome.ok()) return outcome.error().message;
  if (const Refusal* refusal = outcome->refusal()) return refusal_reason_name(refusal->reason);
  return "found";
}

TEST(Haar, FindsTheEyesOfADrawnFace) {
  for (const DrawnFace& face :
       {DrawnFace{320, 320, 3, 0}, DrawnFace{280, 350, 4, 0}, DrawnFace{320, 300, 3.5f, 8}}) {
    const auto faces = haar()->detect(DrawnPhoto().add(face).image());
    ASSERT_TRUE(faces.ok());
    ASSERT_EQ(faces->size(), 1u);
    const DetectedFace& found = faces->front();
    EXPECT_TRUE(found.landmarks_found);
    ASSERT_EQ(found.landmarks.size(), 2u);
    const float middle_x = (found.landmarks[0].x + found.landmarks[1].x) / 2;
    EXPECT_NEAR(middle_x, face.x, 4 * face.scale);
    EXPECT_NEAR(found.landmarks[1].x - found.landmarks[0].x, 35 * face.scale, 5 * face.scale);
  }
}

TEST(Haar, NamesThePackageOfAMissingCascade) {
  const auto detector = make_haar_detector("/nowhere");
  ASSERT_FALSE(detector.ok());
  EXPECT_EQ(detector.error().code, ErrorCode::not_found);
  EXPECT_THAT(detector.error().message, HasSubstr("opencv-data"));
}

TEST(Haar, RefusesADamagedCascade) {
  const std::filesystem::path folder = testing::TempDir();
  std::ofstream(folder / "haarcascade_frontalface_alt2.xml") << "<opencv_storage><cascade>";
  const auto detector = make_haar_detector(folder);
  ASSERT_FALSE(detector.ok());
  EXPECT_EQ(detector.error().code, ErrorCode::corrupt);
}

TEST(Yunet, RefusesAMissingOrWrongModel) {
  EXPECT_EQ(make_yunet_detector("/nowhere.onnx").error().code, ErrorCode::not_found);
  const std::filesystem::path wrong = std::filesystem::path(testing::TempDir()) / "wrong.onnx";
  std::ofstream(wrong) << "no network at all";
  EXPECT_EQ(make_yunet_detector(wrong).error().code, ErrorCode::corrupt);
}

TEST(Detector, IsMadeByName) {
  EXPECT_EQ((*make_detector("haar"))->name(), "haar");
  const auto missing = make_detector("yunet", "/nowhere");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("BAUTA_MODELS"));
}

TEST(Face, IsFoundAndAligned) {
  const auto png = encode_png(DrawnPhoto().add({}).image());
  ASSERT_TRUE(png.ok());
  const auto outcome = find_face(*png, *haar());
  ASSERT_TRUE(outcome.ok()) << outcome.error().message;
  ASSERT_NE(outcome->face(), nullptr) << outcome->refusal()->message;
  EXPECT_EQ(outcome->face()->aligned.image.width, kAlignedSide);
  EXPECT_NEAR(outcome->face()->quality.eye_distance, 105, 15);
  EXPECT_GT(outcome->timings.decode_ms, 0);
  EXPECT_GT(outcome->timings.detect_ms, 0);
  EXPECT_GT(outcome->timings.align_ms, 0);
}

TEST(Face, IsMissingInAnEmptyPhoto) {
  EXPECT_EQ(judgement(DrawnPhoto()), "no_face");
  EXPECT_EQ(judgement(DrawnPhoto().noise(0.2, 7)), "no_face");
}

TEST(Face, OfTwoPeopleIsRefused) {
  DrawnPhoto photo(900, 500);
  photo.add({250, 250, 3}).add({650, 250, 2.6f});
  EXPECT_EQ(judgement(photo), "several_faces");
}

TEST(Face, InTheBackgroundDoesNotCount) {
  DrawnPhoto photo(900, 500);
  photo.add({300, 250, 4}).add({750, 250, 1.5f});
  EXPECT_EQ(judgement(photo), "found");
}

TEST(Face, ThatIsLargestAndCentralCanBeChosen) {
  DrawnPhoto photo(900, 500);
  photo.add({430, 250, 3}).add({770, 250, 2.8f});
  FaceOptions options;
  options.choice = FaceChoice::largest_central;
  const auto outcome = find_face(photo.image(), *haar(), options);
  ASSERT_TRUE(outcome.ok());
  ASSERT_NE(outcome->face(), nullptr);
  EXPECT_NEAR(outcome->face()->detected.landmarks[0].x, 380, 30);
}

TEST(Face, IsRefusedWhenSmallDarkBrightOrBlurred) {
  FaceOptions options;
  options.thresholds.min_eye_distance = 150;
  EXPECT_EQ(judgement(DrawnPhoto().add({}), options), "too_small");
  EXPECT_EQ(judgement(DrawnPhoto().add({}).light(0.1f, 0.0f)), "too_dark");
  EXPECT_EQ(judgement(DrawnPhoto().add({}).light(0.3f, 0.85f)), "too_bright");
  EXPECT_EQ(judgement(DrawnPhoto().add({}).blur(12)), "too_blurred");
}

TEST(Face, InBytesThatAreNoImageIsAnError) {
  const auto outcome = find_face(as_bytes("not an image"), *haar());
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::invalid_argument);
}

TEST(Refusal, HasANameForEveryReason) {
  EXPECT_STREQ(refusal_reason_name(RefusalReason::no_face), "no_face");
  EXPECT_STREQ(refusal_reason_name(RefusalReason::too_bright), "too_bright");
}

// Says always the same.
class FixedCheck final : public PresentationCheck {
 public:
  explicit FixedCheck(Result<Presentation> answer) : answer_(std::move(answer)) {}
  Result<Presentation> check(const Image&, const DetectedFace&) const override { return answer_; }

 private:
  const Result<Presentation> answer_;
};

TEST(Presentation, DecidesOnlyWhereItIsChecked) {
  const Image photo = DrawnPhoto().add({320, 320, 3, 0}).image();
  const auto unchecked = find_face(photo, *haar());
  ASSERT_TRUE(unchecked.ok());
  EXPECT_NE(unchecked->face(), nullptr);
  EXPECT_EQ(unchecked->presentation, Presentation::not_checked);

  FaceOptions options;
  const FixedCheck passes(Presentation::pass), fails(Presentation::fail);
  options.presentation = &passes;
  const auto passed = find_face(photo, *haar(), options);
  ASSERT_TRUE(passed.ok());
  EXPECT_NE(passed->face(), nullptr);
  EXPECT_EQ(passed->presentation, Presentation::pass);

  options.presentation = &fails;
  const auto failed = find_face(photo, *haar(), options);
  ASSERT_TRUE(failed.ok());
  ASSERT_NE(failed->refusal(), nullptr);
  EXPECT_EQ(failed->refusal()->reason, RefusalReason::presentation_attack);
  EXPECT_EQ(failed->presentation, Presentation::fail);
}

TEST(Presentation, ACheckThatFailsItselfGivesNoFace) {
  FaceOptions options;
  const FixedCheck broken(make_error(ErrorCode::unavailable, "no infrared camera"));
  options.presentation = &broken;
  const auto outcome = find_face(DrawnPhoto().add({320, 320, 3, 0}).image(), *haar(), options);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace bauta::face
