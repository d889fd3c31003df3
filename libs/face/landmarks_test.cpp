#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "face/align.h"
#include "face/detect.h"

namespace bauta::face {
namespace {

const std::filesystem::path kModels = BAUTA_MODELS_FOLDER;
// A portrait of a person who does not exist.
const std::string kPortrait = BAUTA_PEOPLE_FOLDER "/Truffaldino/Truffaldino_0001.jpg";

// Always finds one face, in the box it was given.
class FixedBox final : public Detector {
 public:
  explicit FixedBox(Box box) : box_(box) {}
  std::string_view name() const override { return "fixed"; }
  Result<std::vector<DetectedFace>> detect(const Image&) const override {
    return std::vector<DetectedFace>{{.box = box_, .landmarks = {{1, 2}, {3, 4}}}};
  }

 private:
  Box box_;
};

// Tells how often its landmarks were asked for.
class CountingBox final : public Detector {
 public:
  CountingBox(Box box, int& asked) : box_(box), asked_(asked) {}
  std::string_view name() const override { return "counting"; }
  Result<std::vector<DetectedFace>> detect(const Image&) const override {
    ++asked_;
    return std::vector<DetectedFace>{{.box = box_, .landmarks = {{1, 2}, {3, 4}}}};
  }
  Result<std::vector<DetectedFace>> detect_boxes(const Image&) const override {
    return std::vector<DetectedFace>{{.box = box_, .landmarks = {}, .landmarks_found = false}};
  }

 private:
  Box box_;
  int& asked_;
};

std::vector<Point> landmarks_in(const Image& image, Box box) {
  auto detector =
      std::move(make_refined_detector(std::make_unique<FixedBox>(box), kModels / "landmarks.onnx"))
          .value();
  return std::move(detector->detect(image)).value().front().landmarks;
}

double mean_distance(const std::vector<Point>& a, const std::vector<Point>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += std::hypot(static_cast<double>(a[i].x - b[i].x), static_cast<double>(a[i].y - b[i].y));
  return sum / static_cast<double>(a.size());
}

class RefinedDetector : public testing::Test {
 protected:
  void SetUp() override {
    auto haar = make_haar_detector();
    if (!haar.ok()) GTEST_SKIP() << haar.error().message;
    image_ = std::move(read_image(kPortrait)).value();
    const auto faces = std::move((*haar)->detect(image_)).value();
    ASSERT_FALSE(faces.empty());
    box_ = faces.front().box;
  }

  Image image_;
  Box box_;
};

TEST_F(RefinedDetector, FindsFiveLandmarksWhereAFaceHasThem) {
  const std::vector<Point> points = landmarks_in(image_, box_);
  ASSERT_EQ(points.size(), 5u);
  for (const Point& point : points) {
    EXPECT_GT(point.x, box_.x);
    EXPECT_LT(point.x, box_.x + box_.width);
    EXPECT_GT(point.y, box_.y);
    EXPECT_LT(point.y, box_.y + box_.height * 1.05f);
  }
  EXPECT_LT(points[0].x, points[2].x);
  EXPECT_LT(points[2].x, points[1].x);
  EXPECT_LT(points[0].y, points[2].y);
  EXPECT_LT(points[2].y, points[3].y);
}

TEST_F(RefinedDetector, ABoxThatIsSomewhatOffLeadsToTheSamePlaces) {
  const std::vector<Point> points = landmarks_in(image_, box_);
  const double eyes = mean_distance({points[0]}, {points[1]});
  const float shift = 0.04f * box_.width;
  const Box shifted{box_.x + shift, box_.y - shift, box_.width, box_.height};
  EXPECT_LT(mean_distance(landmarks_in(image_, shifted), points), 0.1 * eyes);
  const Box wider{box_.x - shift, box_.y - shift, box_.width + 2 * shift, box_.height + 2 * shift};
  EXPECT_LT(mean_distance(landmarks_in(image_, wider), points), 0.1 * eyes);
}

TEST_F(RefinedDetector, AlignsAtFullAndAtQuarterSizeAlike) {
  const std::vector<Point> points = landmarks_in(image_, box_);
  Image doubled = make_image(2 * image_.width, 2 * image_.height);
  for (int y = 0; y < doubled.height; ++y)
    for (int x = 0; x < doubled.width; ++x)
      for (int c = 0; c < 3; ++c) doubled.row(y)[3 * x + c] = image_.row(y / 2)[3 * (x / 2) + c];
  std::vector<Point> large =
      landmarks_in(doubled, {2 * box_.x, 2 * box_.y, 2 * box_.width, 2 * box_.height});
  for (Point& point : large) point = {point.x / 2 - 0.25f, point.y / 2 - 0.25f};
  EXPECT_LT(mean_distance(large, points), 0.03 * mean_distance({points[0]}, {points[1]}));
}

TEST_F(RefinedDetector, IsMadeByItsName) {
  const auto detector = std::move(make_detector("haar5", kModels)).value();
  EXPECT_EQ(detector->name(), "haar5");
  EXPECT_EQ(std::move(detector->detect(image_)).value().front().landmarks.size(), 5u);
}

TEST_F(RefinedDetector, AsksForNoLandmarksWhereTheNetworkFindsThem) {
  int asked = 0;
  const auto detector = std::move(make_refined_detector(std::make_unique<CountingBox>(box_, asked),
                                                        kModels / "landmarks.onnx"))
                            .value();
  const DetectedFace face = std::move(detector->detect(image_)).value().front();
  EXPECT_EQ(asked, 0);
  EXPECT_TRUE(face.landmarks_found);
  EXPECT_EQ(face.landmarks.size(), 5u);
}

TEST_F(RefinedDetector, BoxesOfTheHaarDetectorAreThoseOfItsFaces) {
  const auto haar = std::move(make_haar_detector()).value();
  const auto faces = std::move(haar->detect(image_)).value();
  const auto boxes = std::move(haar->detect_boxes(image_)).value();
  ASSERT_EQ(boxes.size(), faces.size());
  for (size_t i = 0; i < faces.size(); ++i) {
    EXPECT_EQ(boxes[i].box.x, faces[i].box.x);
    EXPECT_EQ(boxes[i].box.width, faces[i].box.width);
    EXPECT_FALSE(boxes[i].landmarks_found);
  }
}

TEST_F(RefinedDetector, MissingAndDamagedNetworksAreRefused) {
  EXPECT_EQ(make_refined_detector(std::make_unique<FixedBox>(box_), "/nowhere").error().code,
            ErrorCode::not_found);
  const std::string path = testing::TempDir() + "/damaged.onnx";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("not a network")).ok());
  EXPECT_EQ(make_refined_detector(std::make_unique<FixedBox>(box_), path).error().code,
            ErrorCode::corrupt);
}

}  // namespace
}  // namespace bauta::face
