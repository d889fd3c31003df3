#include <algorithm>
#include <mutex>

#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include "face/detect.h"
#include "face/opencv.h"

namespace bauta::face {
namespace {

// The model's own recommendations.
constexpr float kMinScore = 0.6f;
constexpr float kOverlapOfOneFace = 0.3f;
constexpr int kMaxCandidates = 5000;
// Larger photos are scaled down: the network finds faces of some 10 to 300 pixels.
constexpr int kWorkingSide = 640;

// A row of FaceDetectorYN's result: box (4), right eye of the person (the image's left), left eye,
// nose tip, right and left corner of the mouth, score.
DetectedFace face_of(const float* row, float scale) {
  DetectedFace face;
  face.box = {row[0] * scale, row[1] * scale, row[2] * scale, row[3] * scale};
  for (int i = 0; i < 5; ++i)
    face.landmarks.push_back({row[4 + 2 * i] * scale, row[5 + 2 * i] * scale});
  face.score = row[14];
  return face;
}

class YunetDetector final : public Detector {
 public:
  explicit YunetDetector(cv::Ptr<cv::FaceDetectorYN> network) : network_(std::move(network)) {}

  std::string_view name() const override { return "yunet"; }

  Result<std::vector<DetectedFace>> detect(const Image& image) const override {
    return guard_opencv([&] {
      cv::Mat bgr;
      cv::cvtColor(mat_of(image), bgr, cv::COLOR_RGB2BGR);
      const int side = std::max(image.width, image.height);
      float scale = 1;
      if (side > kWorkingSide) {
        scale = static_cast<float>(side) / kWorkingSide;
        cv::resize(bgr, bgr, {}, 1 / scale, 1 / scale, cv::INTER_AREA);
      }
      cv::Mat rows;
      {
        const std::lock_guard lock(mutex_);
        network_->setInputSize(bgr.size());
        network_->detect(bgr, rows);
      }
      std::vector<DetectedFace> faces;
      for (int i = 0; i < rows.rows; ++i) faces.push_back(face_of(rows.ptr<float>(i), scale));
      std::sort(faces.begin(), faces.end(), [](const auto& a, const auto& b) {
        return a.box.width * a.box.height > b.box.width * b.box.height;
      });
      return faces;
    });
  }

 private:
  mutable std::mutex mutex_;
  cv::Ptr<cv::FaceDetectorYN> network_;
};

}  // namespace

Result<std::unique_ptr<Detector>> make_yunet_detector(const std::filesystem::path& model) {
  if (!std::filesystem::is_regular_file(model))
    return make_error(ErrorCode::not_found, "The YuNet model {} does not exist.", model.string());
  auto network = guard_opencv([&] {
    return cv::FaceDetectorYN::create(model.string(), "", {320, 320}, kMinScore, kOverlapOfOneFace,
                                      kMaxCandidates);
  });
  if (!network.ok() || network->empty())
    return make_error(ErrorCode::corrupt,
                      "{} is not a YuNet model that OpenCV {} can read; use "
                      "face_detection_yunet_2022mar.onnx.",
                      model.string(), CV_VERSION);
  return std::unique_ptr<Detector>(new YunetDetector(std::move(*network)));
}

}  // namespace bauta::face
