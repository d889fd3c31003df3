#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <optional>

#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include "face/detect.h"
#include "face/opencv.h"

namespace bauta::face {
namespace {

// Photos are scaled down to this for the face cascade; a face must be at least kMinFace of these
// pixels wide.
constexpr int kWorkingSide = 800;
constexpr int kMinFace = 40;
constexpr double kScaleStep = 1.1;
constexpr int kMinNeighbours = 4;
// Every face is brought to this width for the eye cascade.
constexpr int kPatchSide = 200;
constexpr size_t kMaxFaces = 8;  // whose eyes are looked for, largest first

// Where eyes stand in the frontal cascade's box, as fractions of its side: medians over some
// thousand faces.
const cv::Point2f kUsualLeft(0.31f, 0.39f), kUsualRight(0.69f, 0.39f);
constexpr float kUsualSpread = 0.12f;
// Hits of the eye cascade that lie this close, as a fraction of the box, speak for one eye.
constexpr float kHitSpread = 0.05f;
constexpr size_t kMinHits = 2;
// The cascade's hits lie this much farther apart than the eyes, and higher by this share of the
// distance between the eyes.
constexpr float kHitsTooFarApart = 1.04f;
constexpr float kHitsTooHigh = 0.02f;
// A pair of eyes is believed within these fractions of the box.
constexpr float kMinEyeDistance = 0.26f, kMaxEyeDistance = 0.52f;
constexpr float kMaxSlope = 0.3f;

struct EyePair {
  cv::Point2f left = kUsualLeft, right = kUsualRight;  // fractions of the box
};

float bell(float distance, float spread) {
  return std::exp(-distance * distance / (2 * spread * spread));
}

float distance(const cv::Point2f& a, const cv::Point2f& b) {
  return std::hypot(a.x - b.x, a.y - b.y);
}

// The hit where most others are near, favouring the usual place.
cv::Point2f densest(const std::vector<cv::Point2f>& hits, const cv::Point2f& usual) {
  cv::Point2f best = usual;
  float best_density = 0;
  for (const auto& hit : hits) {
    float density = 0;
    for (const auto& other : hits) density += bell(distance(hit, other), kHitSpread);
    density *= bell(distance(hit, usual), kUsualSpread);
    if (density > best_density) best_density = density, best = hit;
  }
  return best;
}

// Mean shift from the densest hit: its neighbours' weighted mean, a few times.
cv::Point2f centre_of_hits(const std::vector<cv::Point2f>& hits, const cv::Point2f& usual) {
  cv::Point2f centre = densest(hits, usual);
  for (int round = 0; round < 5; ++round) {
    cv::Point2f sum(0, 0);
    float weights = 0;
    for (const auto& hit : hits) {
      const float weight = bell(distance(hit, centre), kHitSpread);
      sum += weight * hit;
      weights += weight;
    }
    centre = sum / weights;
  }
  return centre;
}

bool plausible(const EyePair& eyes) {
  const cv::Point2f apart = eyes.right - eyes.left;
  return apart.x > kMinEyeDistance && apart.x < kMaxEyeDistance &&
         std::abs(apart.y) < kMaxSlope * apart.x;
}

EyePair without_bias(const EyePair& hits) {
  const cv::Point2f half = (hits.right - hits.left) / 2 / kHitsTooFarApart;
  const cv::Point2f middle =
      (hits.left + hits.right) / 2 + cv::Point2f(-half.y, half.x) * (2 * kHitsTooHigh);
  return {middle - half, middle + half};
}

DetectedFace face_of(const cv::Rect2f& box, double weight, const std::optional<EyePair>& eyes) {
  const EyePair pair = eyes.value_or(EyePair{});
  const auto in_photo = [&](const cv::Point2f& eye) {
    return Point{box.x + eye.x * box.width, box.y + eye.y * box.height};
  };
  DetectedFace face;
  face.box = {box.x, box.y, box.width, box.height};
  face.landmarks = {in_photo(pair.left), in_photo(pair.right)};
  face.score = static_cast<float>(weight);
  face.landmarks_found = eyes.has_value();
  return face;
}

class HaarDetector final : public Detector {
 public:
  HaarDetector(cv::CascadeClassifier faces, cv::CascadeClassifier eyes)
      : faces_(std::move(faces)), eyes_(std::move(eyes)) {}

  std::string_view name() const override { return "haar"; }

  Result<std::vector<DetectedFace>> detect(const Image& image) const override {
    return find(image, /*with_eyes=*/true);
  }
  Result<std::vector<DetectedFace>> detect_boxes(const Image& image) const override {
    return find(image, /*with_eyes=*/false);
  }

 private:
  Result<std::vector<DetectedFace>> find(const Image& image, bool with_eyes) const {
    const std::lock_guard lock(mutex_);
    return guard_opencv([&] {
      cv::Mat grey;
      cv::cvtColor(mat_of(image), grey, cv::COLOR_RGB2GRAY);
      return find_faces(grey, with_eyes);
    });
  }

  std::vector<DetectedFace> find_faces(const cv::Mat& grey, bool with_eyes) const {
    const int side = std::max(grey.cols, grey.rows);
    const double scale = std::max(1.0, static_cast<double>(side) / kWorkingSide);
    cv::Mat working = grey;
    if (scale > 1) cv::resize(grey, working, {}, 1 / scale, 1 / scale, cv::INTER_AREA);
    cv::equalizeHist(working, working);
    std::vector<cv::Rect> boxes;
    std::vector<int> levels;
    std::vector<double> weights;
    faces_.detectMultiScale(working, boxes, levels, weights, kScaleStep, kMinNeighbours, 0,
                            {kMinFace, kMinFace}, {}, true);
    std::vector<DetectedFace> faces;
    const auto factor = static_cast<float>(scale);
    for (size_t i = 0; i < boxes.size(); ++i) {
      const cv::Rect2f box = cv::Rect2f(boxes[i]);
      faces.push_back(
          face_of({box.x * factor, box.y * factor, box.width * factor, box.height * factor},
                  weights[i], std::nullopt));
    }
    std::sort(faces.begin(), faces.end(),
              [](const auto& a, const auto& b) { return a.box.width > b.box.width; });
    if (!with_eyes) return faces;
    for (size_t i = 0; i < std::min(kMaxFaces, faces.size()); ++i) {
      const Box& box = faces[i].box;
      const cv::Rect2f rect{box.x, box.y, box.width, box.height};
      faces[i] = face_of(rect, faces[i].score, find_eyes(grey, rect));
    }
    return faces;
  }

  std::optional<EyePair> find_eyes(const cv::Mat& grey, const cv::Rect2f& box) const {
    cv::Mat patch;
    const cv::Rect inside = cv::Rect(box) & cv::Rect(0, 0, grey.cols, grey.rows);
    if (inside.width < kMinFace / 2 || inside.height < kMinFace / 2) return std::nullopt;
    cv::resize(grey(inside), patch, {kPatchSide, kPatchSide}, 0, 0,
               inside.width > kPatchSide ? cv::INTER_AREA : cv::INTER_LINEAR);
    const auto lefts = eye_hits(patch, 0.07f);
    const auto rights = eye_hits(patch, 0.48f);
    if (lefts.size() < kMinHits || rights.size() < kMinHits) return std::nullopt;
    const EyePair hits{centre_of_hits(lefts, kUsualLeft), centre_of_hits(rights, kUsualRight)};
    if (!plausible(hits)) return std::nullopt;
    return without_bias(hits);
  }

  // The centres of all the cascade's hits, ungrouped, in the window of the patch that starts at
  // `begin` of its width.
  std::vector<cv::Point2f> eye_hits(const cv::Mat& patch, float begin) const {
    const cv::Rect window(static_cast<int>(begin * kPatchSide), kPatchSide * 16 / 100,
                          kPatchSide * 45 / 100, kPatchSide * 42 / 100);
    std::vector<cv::Rect> boxes;
    eyes_.detectMultiScale(patch(window), boxes, 1.05, 0, 0, {kPatchSide / 8, kPatchSide / 8},
                           {kPatchSide * 2 / 5, kPatchSide * 2 / 5});
    std::vector<cv::Point2f> hits;
    for (const cv::Rect& box : boxes) {
      const cv::Point2f centre = cv::Point2f(window.tl()) + cv::Point2f(box.tl() + box.br()) / 2;
      hits.push_back(centre / kPatchSide);
    }
    return hits;
  }

  mutable std::mutex mutex_;
  mutable cv::CascadeClassifier faces_, eyes_;
};

Result<cv::CascadeClassifier> load_cascade(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(path))
    return make_error(ErrorCode::not_found,
                      "The face detector's cascade {} is missing. Install the package opencv-data.",
                      path.string());
  auto cascade = guard_opencv([&] { return cv::CascadeClassifier(path.string()); });
  if (!cascade.ok() || cascade->empty())
    return make_error(
        ErrorCode::corrupt,
        "{} is not a cascade that OpenCV can read. Reinstall the package opencv-data.",
        path.string());
  return cascade;
}

}  // namespace

Result<std::unique_ptr<Detector>> make_haar_detector(const std::filesystem::path& cascades) {
  BAUTA_TRY(auto faces, load_cascade(cascades / "haarcascade_frontalface_alt2.xml"));
  BAUTA_TRY(auto eyes, load_cascade(cascades / "haarcascade_eye.xml"));
  return std::unique_ptr<Detector>(new HaarDetector(std::move(faces), std::move(eyes)));
}

Result<std::unique_ptr<Detector>> make_detector(std::string_view name_or_path,
                                                const std::filesystem::path& model_folder) {
  if (name_or_path == "haar") return make_haar_detector();
  if (name_or_path == "haar5") {
    BAUTA_TRY(
        const auto landmarks,
        network::find_model_file("landmarks.onnx", std::filesystem::current_path(), model_folder));
    BAUTA_TRY(auto rough, make_haar_detector());
    return make_refined_detector(std::move(rough), landmarks);
  }
  const std::filesystem::path model =
      name_or_path == "yunet" ? "face_detection_yunet_2022mar.onnx" : name_or_path;
  BAUTA_TRY(const auto found,
            network::find_model_file(model, std::filesystem::current_path(), model_folder));
  return make_yunet_detector(found);
}

}  // namespace bauta::face
