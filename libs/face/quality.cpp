#include "face/quality.h"

#include <cmath>

#include <opencv2/imgproc.hpp>

#include "face/opencv.h"

namespace bauta::face {
namespace {

// The inner face of the template: brows to chin, without hair and background.
const cv::Rect kInnerFace(24, 36, 64, 66);

// How much wider the blur is that sharpness is measured against, in pixels of the template.
constexpr double kReblur = 1.5;
// Root mean square gradients below this many grey levels a pixel are noise.
constexpr double kGradientFloor = 0.5;

double gradient_strength(const cv::Mat& grey) {
  const cv::Mat across = grey.colRange(1, grey.cols) - grey.colRange(0, grey.cols - 1);
  const cv::Mat down = grey.rowRange(1, grey.rows) - grey.rowRange(0, grey.rows - 1);
  const double squares = cv::norm(across, cv::NORM_L2SQR) + cv::norm(down, cv::NORM_L2SQR);
  return std::sqrt(squares / static_cast<double>(grey.total()));
}

// A sharp photo has much to lose by another blur, a blurred one little (the idea of Crete et al.,
// HVEI 2007).
double sharpness_of(const cv::Mat& grey) {
  cv::Mat blurred;
  cv::GaussianBlur(grey, blurred, {}, kReblur);
  return 1 -
         (gradient_strength(blurred) + kGradientFloor) / (gradient_strength(grey) + kGradientFloor);
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
    case RefusalReason::presentation_attack:
      return "presentation_attack";
  }
  return "no_face";
}

Result<FaceQuality> measure_quality(const AlignedFace& face, std::span<const Point> landmarks) {
  BAUTA_ASSERT(landmarks.size() >= 2);
  const double eye_distance = std::hypot(static_cast<double>(landmarks[1].x - landmarks[0].x),
                                         static_cast<double>(landmarks[1].y - landmarks[0].y));
  return guard_opencv([&] {
    cv::Mat grey;
    cv::cvtColor(mat_of(face.image)(kInnerFace), grey, cv::COLOR_RGB2GRAY);
    const double brightness = cv::mean(grey)[0];
    grey.convertTo(grey, CV_32F);
    return FaceQuality{eye_distance, sharpness_of(grey), brightness};
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
