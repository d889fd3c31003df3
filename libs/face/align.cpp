#include "face/align.h"

#include <opencv2/imgproc.hpp>

#include "face/opencv.h"

namespace bauta::face {
namespace {

Point mean_of(std::span<const Point> points) {
  Point mean;
  for (const Point& point : points) {
    mean.x += point.x / static_cast<float>(points.size());
    mean.y += point.y / static_cast<float>(points.size());
  }
  return mean;
}

}  // namespace

Result<Similarity> fit_similarity(std::span<const Point> from, std::span<const Point> to) {
  if (from.size() < 2 || from.size() != to.size())
    return make_error(
        ErrorCode::invalid_argument,
        "A similarity needs two or more pairs of points; {} and {} points were given.", from.size(),
        to.size());
  const Point from_mean = mean_of(from);
  const Point to_mean = mean_of(to);
  double spread = 0, cosine = 0, sine = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    const double x = from[i].x - from_mean.x, y = from[i].y - from_mean.y;
    const double u = to[i].x - to_mean.x, v = to[i].y - to_mean.y;
    spread += x * x + y * y;
    cosine += x * u + y * v;
    sine += x * v - y * u;
  }
  if (!(spread > 1e-6))
    return make_error(ErrorCode::invalid_argument, "The landmarks of the face all coincide.");
  Similarity fit{cosine / spread, sine / spread, 0, 0};
  fit.shift_x = to_mean.x - fit.a * from_mean.x + fit.b * from_mean.y;
  fit.shift_y = to_mean.y - fit.b * from_mean.x - fit.a * from_mean.y;
  return fit;
}

Result<AlignedFace> align_face(const Image& photo, std::span<const Point> landmarks) {
  std::span<const Point> targets(kTemplate);
  if (landmarks.size() == 2) targets = kEyeTemplate;
  BAUTA_TRY(Similarity fit, fit_similarity(landmarks, targets));
  AlignedFace face{make_image(kAlignedSide, kAlignedSide)};
  const auto warped = guard_opencv([&] {
    cv::Mat source = mat_of(photo);
    // Bilinear sampling looks at four pixels only: a photo much larger than the face's frame is
    // averaged down first.
    const double shrink = 2 * std::hypot(fit.a, fit.b);
    if (shrink < 1) {
      cv::resize(source, source, {}, shrink, shrink, cv::INTER_AREA);
      const double half_pixel = 0.5 / shrink - 0.5;  // pixel centres stay where they were
      fit.shift_x += (fit.a - fit.b) * half_pixel;
      fit.shift_y += (fit.a + fit.b) * half_pixel;
      fit.a /= shrink;
      fit.b /= shrink;
    }
    const cv::Matx23d matrix(fit.a, -fit.b, fit.shift_x, fit.b, fit.a, fit.shift_y);
    cv::Mat aligned = mat_of(face.image);
    cv::warpAffine(source, aligned, matrix, aligned.size(), cv::INTER_LINEAR);
    return true;
  });
  if (!warped.ok()) return warped.error();
  return face;
}

}  // namespace bauta::face
