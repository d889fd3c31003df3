#include "face/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace bauta::face {
namespace {

// Another face counts as a second person from this share of the largest's width on.
constexpr float kSecondFaceShare = 0.5f;
// How much of its size a face in the corner of the photo loses in the choice of the largest central
// one.
constexpr float kCornerPenalty = 0.7f;

class Stopwatch {
 public:
  // Milliseconds since the last lap or construction.
  double lap_ms() {
    const auto now = std::chrono::steady_clock::now();
    const double elapsed = std::chrono::duration<double, std::milli>(now - last_).count();
    last_ = now;
    return elapsed;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

float centrality_weighted_width(const DetectedFace& face, const Image& photo) {
  const float half_width = static_cast<float>(photo.width) / 2;
  const float half_height = static_cast<float>(photo.height) / 2;
  const float x = (face.box.x + face.box.width / 2 - half_width) / half_width;
  const float y = (face.box.y + face.box.height / 2 - half_height) / half_height;
  return face.box.width * (1 - kCornerPenalty * std::hypot(x, y) / std::sqrt(2.0f));
}

// The face that is meant, or why none is. A face without eyes is often no face at all: it counts
// only when there is no other.
std::variant<DetectedFace, Refusal> choose_face(std::vector<DetectedFace> faces, const Image& photo,
                                                FaceChoice choice) {
  if (faces.empty())
    return Refusal{RefusalReason::no_face, "No face was found. Look straight into the camera."};
  const auto has_eyes = [](const DetectedFace& face) { return face.landmarks_found; };
  if (std::any_of(faces.begin(), faces.end(), has_eyes))
    std::erase_if(faces, [&](const DetectedFace& face) { return !has_eyes(face); });
  if (choice == FaceChoice::largest_central)
    return *std::max_element(faces.begin(), faces.end(), [&](const auto& a, const auto& b) {
      return centrality_weighted_width(a, photo) < centrality_weighted_width(b, photo);
    });
  const auto by_width = [](const auto& a, const auto& b) { return a.box.width > b.box.width; };
  std::sort(faces.begin(), faces.end(), by_width);
  if (faces.size() > 1 && faces[1].box.width >= kSecondFaceShare * faces[0].box.width)
    return Refusal{RefusalReason::several_faces,
                   "Several faces were found. Only one person may be in the photo."};
  return faces[0];
}

}  // namespace

Result<FaceOutcome> find_face(const Image& photo, const Detector& detector,
                              const FaceOptions& options) {
  Stopwatch watch;
  FaceTimings timings;
  BAUTA_TRY(auto faces, detector.detect(photo));
  timings.detect_ms = watch.lap_ms();
  auto chosen = choose_face(std::move(faces), photo, options.choice);
  if (auto* refusal = std::get_if<Refusal>(&chosen))
    return FaceOutcome{std::move(*refusal), timings, Presentation::not_checked};

  auto& detected = std::get<DetectedFace>(chosen);
  BAUTA_TRY(AlignedFace aligned, align_face(photo, detected.landmarks));
  BAUTA_TRY(const FaceQuality quality, measure_quality(aligned, detected.landmarks));
  timings.align_ms = watch.lap_ms();
  if (auto refusal = refuse_quality(quality, options.thresholds))
    return FaceOutcome{std::move(*refusal), timings, Presentation::not_checked};
  auto presentation = Presentation::not_checked;
  if (options.presentation != nullptr) {
    BAUTA_TRY(presentation, options.presentation->check(photo, detected));
  }
  if (presentation == Presentation::fail)
    return FaceOutcome{Refusal{RefusalReason::presentation_attack,
                               "This does not look like a live face. Stand before the camera "
                               "yourself, without a print or a screen."},
                       timings, presentation};
  return FaceOutcome{FoundFace{std::move(aligned), std::move(detected), quality}, timings,
                     presentation};
}

Result<FaceOutcome> find_face(ByteView image_bytes, const Detector& detector,
                              const FaceOptions& options) {
  Stopwatch watch;
  BAUTA_TRY(const Image photo, decode_image(image_bytes, options.limits));
  const double decode_ms = watch.lap_ms();
  BAUTA_TRY(FaceOutcome outcome, find_face(photo, detector, options));
  outcome.timings.decode_ms = decode_ms;
  return outcome;
}

}  // namespace bauta::face
