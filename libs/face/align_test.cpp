#include "face/align.h"

#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "face/drawn_photo.h"

namespace bauta::face {
namespace {

Point apply(const Similarity& fit, const Point& point) {
  return {static_cast<float>(fit.a * point.x - fit.b * point.y + fit.shift_x),
          static_cast<float>(fit.b * point.x + fit.a * point.y + fit.shift_y)};
}

// A number in [low, high].
double draw(double low, double high) {
  return low + (high - low) * *rc::gen::inRange(0, 10001) / 10000.0;
}

RC_GTEST_PROP(Align, RecoversAnySimilarity, ()) {
  const double scale = draw(0.05, 20), angle = draw(-3.1, 3.1);
  const Similarity truth{scale * std::cos(angle), scale * std::sin(angle), draw(-500, 500),
                         draw(-500, 500)};
  const size_t count = *rc::gen::element<size_t>(2, 5);
  std::vector<Point> moved;
  for (size_t i = 0; i < count; ++i) moved.push_back(apply(truth, kTemplate[i]));
  const auto fit = fit_similarity(std::span<const Point>(kTemplate, count), moved);
  RC_ASSERT(fit.ok());
  for (size_t i = 0; i < count; ++i) {
    const Point point = apply(*fit, kTemplate[i]);
    RC_ASSERT(std::hypot(point.x - moved[i].x, point.y - moved[i].y) < 0.02);
  }
}

TEST(Align, LeavesTheLeastSquaredError) {
  std::vector<Point> landmarks(std::begin(kTemplate), std::end(kTemplate));
  landmarks[2].x += 6;  // a face turned aside
  const auto fit = fit_similarity(landmarks, kTemplate);
  ASSERT_TRUE(fit.ok());
  const auto error = [&](const Similarity& similarity) {
    double sum = 0;
    for (size_t i = 0; i < 5; ++i) {
      const Point point = apply(similarity, landmarks[i]);
      sum += std::pow(point.x - kTemplate[i].x, 2) + std::pow(point.y - kTemplate[i].y, 2);
    }
    return sum;
  };
  for (const double step : {-1e-3, 1e-3}) {
    EXPECT_LT(error(*fit), error({fit->a + step, fit->b, fit->shift_x, fit->shift_y}));
    EXPECT_LT(error(*fit), error({fit->a, fit->b + step, fit->shift_x, fit->shift_y}));
    EXPECT_LT(error(*fit), error({fit->a, fit->b, fit->shift_x + 10 * step, fit->shift_y}));
    EXPECT_LT(error(*fit), error({fit->a, fit->b, fit->shift_x, fit->shift_y + 10 * step}));
  }
}

// Where the template's point lies in a photo with the drawn face.
Point in_photo(const DrawnFace& face, const Point& point) {
  const double angle = -static_cast<double>(face.degrees) * CV_PI / 180;
  const double x = point.x - kAlignedSide / 2.0, y = point.y - kAlignedSide / 2.0;
  return {static_cast<float>(face.x + face.scale * (std::cos(angle) * x - std::sin(angle) * y)),
          static_cast<float>(face.y + face.scale * (std::sin(angle) * x + std::cos(angle) * y))};
}

double mean_difference(const Image& image, const cv::Mat& drawing) {
  cv::Mat grey, expected;
  cv::cvtColor(mat_of(image), grey, cv::COLOR_RGB2GRAY);
  drawing.convertTo(expected, CV_8U, 255);
  return cv::norm(grey, expected, cv::NORM_L1) / static_cast<double>(grey.total());
}

TEST(Align, BringsFacesOfAnySizeAndTurnToTheTemplate) {
  for (const DrawnFace& face : {DrawnFace{320, 320, 3, 0}, DrawnFace{250, 300, 1.3f, 20},
                                DrawnFace{320, 330, 4.5f, -35}, DrawnFace{300, 300, 0.9f, 90}}) {
    const Image photo = DrawnPhoto().add(face).image();
    std::vector<Point> landmarks;
    for (const Point& point : kTemplate) landmarks.push_back(in_photo(face, point));
    const auto aligned = align_face(photo, landmarks);
    ASSERT_TRUE(aligned.ok());
    EXPECT_EQ(aligned->image.width, kAlignedSide);
    EXPECT_EQ(aligned->image.height, kAlignedSide);
    EXPECT_LT(mean_difference(aligned->image, draw_schematic_face()), 2.0);
  }
}

TEST(Align, BringsTwoEyesWhereFivePointsPutThem) {
  const DrawnFace face{300, 310, 2, 10};
  const Image photo = DrawnPhoto().add(face).image();
  const std::vector<Point> eyes = {in_photo(face, kEyeTemplate[0]),
                                   in_photo(face, kEyeTemplate[1])};
  const auto aligned = align_face(photo, eyes);
  ASSERT_TRUE(aligned.ok());
  EXPECT_LT(mean_difference(aligned->image, draw_schematic_face()), 2.0);
}

TEST(Align, RefusesTooFewOrCoincidingLandmarks) {
  const Image photo = DrawnPhoto().image();
  for (const std::vector<Point>& landmarks :
       {std::vector<Point>{}, {{10, 10}}, {{10, 10}, {20, 10}, {15, 20}}, {{10, 10}, {10, 10}}}) {
    const auto aligned = align_face(photo, landmarks);
    ASSERT_FALSE(aligned.ok());
    EXPECT_EQ(aligned.error().code, ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace bauta::face
