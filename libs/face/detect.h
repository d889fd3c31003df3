// Face detection: where the faces of an image are, and where their eyes (nose, mouth) are.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "face/image.h"
#include "network/model_folder.h"

namespace bauta::face {

// Pixels; (0, 0) is the centre of the top left pixel.
struct Point {
  float x = 0;
  float y = 0;
};

// Pixels; may reach beyond the image.
struct Box {
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
};

struct DetectedFace {
  Box box;
  // Two: the eyes, the one at the image's left first. Or five: these, nose tip, mouth corners (left
  // first).
  std::vector<Point> landmarks;
  // Confidence, larger is surer. Comparable within one detector only (YuNet: 0 to 1).
  float score = 0;
  // False when the eyes were not found and stand where they usually are in such a box.
  bool landmarks_found = true;
};

// Thread-safe: concurrent calls take turns, so give each thread a detector of its own to work in
// parallel.
class Detector {
 public:
  virtual ~Detector() = default;
  virtual std::string_view name() const = 0;
  // The faces, largest first; none is not an error. Error internal: the detector itself failed.
  virtual Result<std::vector<DetectedFace>> detect(const Image& image) const = 0;
  // The same faces in the same order, for who needs their boxes alone: landmarks may be missing.
  virtual Result<std::vector<DetectedFace>> detect_boxes(const Image& image) const {
    return detect(image);
  }
};

// Where Debian's package opencv-data keeps the cascades.
inline constexpr std::string_view kHaarCascades = "/usr/share/opencv4/haarcascades";

// Viola-Jones cascades for the face and then for each eye. Two landmarks.
// Error not_found: a cascade is missing; the message names the package that brings it.
Result<std::unique_ptr<Detector>> make_haar_detector(
    const std::filesystem::path& cascades = kHaarCascades);

// YuNet (OpenCV's FaceDetectorYN, model of March 2022). Five landmarks.
// Errors: not_found; corrupt when the file is not such a model.
Result<std::unique_ptr<Detector>> make_yunet_detector(const std::filesystem::path& model);

// Five landmarks for the boxes of the Haar detector, by a network that corrects a guess of where
// the face lies in its box. Errors: not_found; corrupt when the file is no network.
Result<std::unique_ptr<Detector>> make_refined_detector(std::unique_ptr<Detector> rough,
                                                        const std::filesystem::path& model);

// "haar", "haar5" (refined, landmarks.onnx looked up in the model folder), "yunet" (its model
// looked up in the model folder), or the path of a YuNet model.
Result<std::unique_ptr<Detector>> make_detector(
    std::string_view name_or_path,
    const std::filesystem::path& model_folder = network::default_model_folder());

}  // namespace bauta::face
