// From the bytes of a photo to an aligned face, or to the reason why not.
#pragma once

#include <variant>

#include "face/align.h"
#include "face/detect.h"
#include "face/presentation.h"
#include "face/quality.h"

namespace bauta::face {

// Which face of several is meant.
enum class FaceChoice {
  only,             // refuse when another face is at least half as wide as the largest
  largest_central,  // the largest, those far from the centre counting as smaller; for photos that
                    // are known to show one person
};

struct FaceOptions {
  ImageLimits limits;
  QualityThresholds thresholds;
  FaceChoice choice = FaceChoice::only;
  const PresentationCheck* presentation = nullptr;  // none: nothing is checked
};

struct FaceTimings {
  double decode_ms = 0;
  double detect_ms = 0;
  double align_ms = 0;  // quality included
  double total_ms() const { return decode_ms + detect_ms + align_ms; }
};

struct FoundFace {
  AlignedFace aligned;
  DetectedFace detected;  // in the photo
  FaceQuality quality;
};

struct FaceOutcome {
  std::variant<FoundFace, Refusal> outcome;
  FaceTimings timings;
  Presentation presentation = Presentation::not_checked;  // pass or fail where a check got so far

  const FoundFace* face() const { return std::get_if<FoundFace>(&outcome); }
  const Refusal* refusal() const { return std::get_if<Refusal>(&outcome); }
};

// Decode, detect, align, judge. A photo without a usable face is an outcome, not an error; errors
// are decode_image's (the bytes are no image), the detector's and the presentation check's.
Result<FaceOutcome> find_face(ByteView image_bytes, const Detector& detector,
                              const FaceOptions& options = {});

// The same for pixels that are at hand.
Result<FaceOutcome> find_face(const Image& photo, const Detector& detector,
                              const FaceOptions& options = {});

}  // namespace bauta::face
