// Which photos are refused, and why: before a face is enrolled or compared.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "face/align.h"

namespace bauta::face {

// Persistent: stands in replies and the audit log. Append only.
enum class RefusalReason : int {
  no_face = 1,
  several_faces = 2,
  too_small = 3,
  too_blurred = 4,
  too_dark = 5,
  too_bright = 6,
  presentation_attack = 7,
};

// Snake-case name, as printed in JSON.
const char* refusal_reason_name(RefusalReason reason);

// A photo that was read but cannot be used. The message is one sentence for the person in front of
// the camera.
struct Refusal {
  RefusalReason reason = RefusalReason::no_face;
  std::string message;
};

struct FaceQuality {
  double eye_distance = 0;  // pixels of the photo between the eyes
  double sharpness =
      0;  // 0 to 1: the share of the aligned face's gradient that a blur of 1.5 pixels takes away
  double brightness = 0;  // mean grey level of the inner face, 0 to 255
};

// Chosen so that they refuse what a good face network can no longer use, and next to nothing of
// ordinary photos: of 3,811 press photos of 250x250 pixels (LFW) fewer than one in a thousand lies
// beyond each.
struct QualityThresholds {
  double min_eye_distance = 20;
  double min_sharpness = 0.15;  // about a blur of 2 pixels of the aligned face
  double min_brightness = 25;
  double max_brightness = 235;
};

// Precondition: two landmarks at least, as in DetectedFace.
Result<FaceQuality> measure_quality(const AlignedFace& face, std::span<const Point> landmarks);
// The first reason to refuse, if there is one.
std::optional<Refusal> refuse_quality(const FaceQuality& quality,
                                      const QualityThresholds& thresholds);

}  // namespace bauta::face
