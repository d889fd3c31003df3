// Presentation attack detection (ISO/IEC 30107): whether a face in front of the camera is a live
// one, or a print, a screen or a mask. The project has no check of its own; who has one implements
// this, and an edge that is given it refuses what fails.
#pragma once

#include "face/detect.h"

namespace bauta::face {

// Persistent: stands in answers.
enum class Presentation : int { not_checked = 0, pass = 1, fail = 2 };

constexpr const char* presentation_name(Presentation presentation) {
  switch (presentation) {
    case Presentation::not_checked:
      return "not_checked";
    case Presentation::pass:
      return "pass";
    case Presentation::fail:
      return "fail";
  }
  return "not_checked";
}

// Thread-safe.
class PresentationCheck {
 public:
  virtual ~PresentationCheck() = default;
  // Of the face found in the photo: pass or fail. An error is one of the check itself; there is no
  // decision then.
  virtual Result<Presentation> check(const Image& photo, const DetectedFace& face) const = 0;
};

}  // namespace bauta::face
