#include "face/quality.h"

#include <cmath>

#include <opencv2/imgproc.hpp>

#include "face/opencv.h"

namespace bauta::face {
namespace {

// The inner face of the template: brows to chin, without hair and background.
const cv::Rect kInnerFace(24, 36, 64, 66);

double distance(const Point& a, const Point& b) {
  return std::hypot(a.x - b.x, a.y - b.y);
}

}  // namespace

const char* refusal_reason_name(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::no_face:
      return "no_face";
    case RefusalReason::several_faces:
      return "several_faces";
    case RefusalReason::too_small:
      return "too_small";
    case RefusalReason::too_blurred:
      return "too_blurred";
    case RefusalReason::too_dark:
      return "too_dark";
    case RefusalReason::too_bright:
      return "too_bright";
  }
  return "no_face";
}

Result<FaceQuality> measure_quality(const AlignedFace& face, std::span<const Point> landmarks) {
  BAUTA_ASSERT(landmarks.size() >= 2);
  return guard_opencv([&] {
    cv::Mat grey, laplacian;
    cv::cvtColor(mat_of(face.image)(kInnerFace), grey, cv::COLOR_RGB2GRAY);
    cv::Laplacian(grey, laplacian, CV_32F);
    cv::Scalar mean, deviation, detail;
    cv::meanStdDev(grey, mean, deviation);
    cv::meanStdDev(laplacian, {}, detail);
    // A flat patch has no edges to be sharp: the floor keeps noise from passing for detail.
    return FaceQuality{distance(landmarks[0], landmarks[1]),
                       detail[0] / std::max(deviation[0], 4.0), mean[0]};
  });
}

std::optional<Refusal> refuse_quality(const FaceQuality& quality,
                                      const QualityThresholds& thresholds) {
  if (quality.eye_distance < thresholds.min_eye_distance)
    return Refusal{RefusalReason::too_small,
                   fmt::format("The face is too small ({:.0f} pixels between the eyes; {:.0f} are "
                               "needed). Come closer.",
                               quality.eye_distance, thresholds.min_eye_distance)};
  if (quality.brightness < thresholds.min_brightness)
    return Refusal{RefusalReason::too_dark, "The face is too dark. Turn to the light."};
  if (quality.brightness > thresholds.max_brightness)
    return Refusal{RefusalReason::too_bright, "The face is overexposed. Turn from the light."};
  if (quality.sharpness < thresholds.min_sharpness)
    return Refusal{RefusalReason::too_blurred, "The face is blurred. Hold still and refocus."};
  return std::nullopt;
}

}  // namespace bauta::face
