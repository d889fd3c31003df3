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

// Where eyes stand in the frontal cascade's box, as fractions of its side.
constexpr float kUsualLeftX = 0.31f, kUsualRightX = 0.69f, kUsualY = 0.39f;

struct EyePair {
  cv::Point2f left, right;  // fractions of the box
};

struct EyeCandidate {
  cv::Point2f centre;  // fractions of the box
  double weight;
};

DetectedFace face_of(const cv::Rect2f& box, double weight, const std::optional<EyePair>& eyes) {
  const EyePair usual{{kUsualLeftX, kUsualY}, {kUsualRightX, kUsualY}};
  const EyePair& pair = eyes ? *eyes : usual;
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
    const std::lock_guard lock(mutex_);
    return guard_opencv([&] {
      cv::Mat grey;
      cv::cvtColor(mat_of(image), grey, cv::COLOR_RGB2GRAY);
      return find_faces(grey);
    });
  }

 private:
  std::vector<DetectedFace> find_faces(const cv::Mat& grey) const {
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
    cv::equalizeHist(patch, patch);
    const auto lefts = find_eye(patch, 0.08f);
    const auto rights = find_eye(patch, 0.47f);
    return best_pair(lefts, rights);
  }

  // Candidates for one eye, in the window of the patch that starts at `begin` of its width.
  std::vector<EyeCandidate> find_eye(const cv::Mat& patch, float begin) const {
    const cv::Rect window(static_cast<int>(begin * kPatchSide), kPatchSide * 18 / 100,
                          kPatchSide * 45 / 100, kPatchSide * 40 / 100);
    std::vector<cv::Rect> boxes;
    std::vector<int> levels;
    std::vector<double> weights;
    eyes_.detectMultiScale(patch(window), boxes, levels, weights, 1.05, 2, 0,
                           {kPatchSide / 8, kPatchSide / 8},
                           {kPatchSide * 2 / 5, kPatchSide * 2 / 5}, true);
    std::vector<EyeCandidate> candidates;
    for (size_t i = 0; i < boxes.size(); ++i) {
      const cv::Rect& box = boxes[i];
      const float x = static_cast<float>(window.x + box.x) + static_cast<float>(box.width) / 2;
      const float y = static_cast<float>(window.y + box.y) + static_cast<float>(box.height) / 2;
      candidates.push_back({{x / kPatchSide, y / kPatchSide}, weights[i]});
    }
    return candidates;
  }

  static std::optional<EyePair> best_pair(const std::vector<EyeCandidate>& lefts,
                                          const std::vector<EyeCandidate>& rights) {
    std::optional<EyePair> best;
    double best_weight = -1e9;
    for (const auto& left : lefts)
      for (const auto& right : rights) {
        const cv::Point2f apart = right.centre - left.centre;
        const bool plausible =
            apart.x > 0.28f && apart.x < 0.50f && std::abs(apart.y) < 0.3f * apart.x;
        const double weight = left.weight + right.weight;
        if (!plausible || weight <= best_weight) continue;
        best = EyePair{left.centre, right.centre};
        best_weight = weight;
      }
    return best;
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
    BAUTA_TRY(const auto landmarks,
              find_model_file("landmarks.onnx", std::filesystem::current_path(), model_folder));
    BAUTA_TRY(auto rough, make_haar_detector());
    return make_refined_detector(std::move(rough), landmarks);
  }
  const std::filesystem::path model =
      name_or_path == "yunet" ? "face_detection_yunet_2022mar.onnx" : name_or_path;
  BAUTA_TRY(const auto found,
            find_model_file(model, std::filesystem::current_path(), model_folder));
  return make_yunet_detector(found);
}

}  // namespace bauta::face
