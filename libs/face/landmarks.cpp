// Five landmarks around another detector's boxes, by a network that corrects a guess of the face's
// place (models/landmarks.md, training/landmarks.py).
#include <algorithm>
#include <cmath>
#include <mutex>

#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>

#include "base/file.h"
#include "face/align.h"
#include "face/detect.h"
#include "face/opencv.h"

namespace bauta::face {
namespace {

constexpr size_t kMaxModelBytes = 16u << 20;
constexpr size_t kMaxFaces = 8;  // that are refined, largest first
constexpr int kPasses = 2;
// What the network looks at: kViewSide pixels a side, which cover kViewSpan template pixels.
constexpr int kViewSide = 48;
constexpr double kViewSpan = 84, kViewCentreX = 56, kViewCentreY = 66;
constexpr double kViewStep = kViewSpan / kViewSide;
// Where the frontal cascade puts its box about an aligned face, in template pixels: medians over
// the training crops.
constexpr double kBoxCentreX = 55.25, kBoxCentreY = 63.5, kBoxSide = 93.5;

// p -> outer(inner(p)).
Similarity compose(const Similarity& outer, const Similarity& inner) {
  return {.a = outer.a * inner.a - outer.b * inner.b,
          .b = outer.b * inner.a + outer.a * inner.b,
          .shift_x = outer.a * inner.shift_x - outer.b * inner.shift_y + outer.shift_x,
          .shift_y = outer.b * inner.shift_x + outer.a * inner.shift_y + outer.shift_y};
}

// From the template to the photo, where the box says the face is.
Similarity placement_of(const Box& box) {
  const double scale = static_cast<double>(box.width) / kBoxSide;
  return {.a = scale,
          .b = 0,
          .shift_x = box.x + box.width / 2 - 0.5 - scale * kBoxCentreX,
          .shift_y = box.y + box.height / 2 - 0.5 - scale * kBoxCentreY};
}

// The network's answer: a - 1, b and the shift of a similarity about the view's centre.
Similarity correction_of(const float* output) {
  const double a = 1 + output[0], b = output[1];
  return {.a = a,
          .b = b,
          .shift_x = output[2] + kViewCentreX - a * kViewCentreX + b * kViewCentreY,
          .shift_y = output[3] + kViewCentreY - b * kViewCentreX - a * kViewCentreY};
}

// A photo shrunk so that a face's view has about as many pixels as the network wants.
struct ScaledPhoto {
  cv::Mat grey;
  double scale = 1;  // photo pixels per pixel of grey
};

ScaledPhoto scaled_for(const cv::Mat& grey, const Similarity& placement) {
  const double scale = std::hypot(placement.a, placement.b) * kViewStep / 2;
  if (scale <= 1) return {grey, 1};
  ScaledPhoto photo{{}, scale};
  cv::resize(grey, photo.grey, {}, 1 / scale, 1 / scale, cv::INTER_AREA);
  return photo;
}

// The face as it shows through a placement, with mean 0 and deviation 1.
cv::Mat view(const ScaledPhoto& photo, const Similarity& placement) {
  const double corner = -kViewStep * (kViewSide - 1) / 2;
  const Similarity to_template{kViewStep, 0, kViewCentreX + corner, kViewCentreY + corner};
  // Pixel centres: x in the photo is (x + 1/2) / scale - 1/2 in the shrunk one.
  const double half = 0.5 / photo.scale - 0.5;
  const Similarity to_scaled{1 / photo.scale, 0, half, half};
  const Similarity map = compose(to_scaled, compose(placement, to_template));
  const cv::Matx23d matrix(map.a, -map.b, map.shift_x, map.b, map.a, map.shift_y);
  cv::Mat pixels;
  cv::warpAffine(photo.grey, pixels, matrix, {kViewSide, kViewSide},
                 cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REPLICATE);
  cv::Scalar mean, deviation;
  pixels.convertTo(pixels, CV_32F, 1 / 127.5, -1);
  cv::meanStdDev(pixels, mean, deviation);
  pixels.convertTo(pixels, CV_32F, 1 / (deviation[0] + 1e-3), -mean[0] / (deviation[0] + 1e-3));
  return pixels;
}

class RefinedDetector final : public Detector {
 public:
  RefinedDetector(std::unique_ptr<Detector> rough, cv::dnn::Net network)
      : rough_(std::move(rough)),
        name_(std::string(rough_->name()) + "5"),
        network_(std::move(network)) {}

  std::string_view name() const override { return name_; }

  Result<std::vector<DetectedFace>> detect(const Image& image) const override {
    BAUTA_TRY(std::vector<DetectedFace> faces, rough_->detect_boxes(image));
    BAUTA_TRY(const bool all, refine(image, faces));
    if (all) return faces;
    // What the rough detector finds stays where the network is lost, so it has to look.
    BAUTA_TRY(faces, rough_->detect(image));
    BAUTA_CHECK(refine(image, faces));
    return faces;
  }

 private:
  // False when the network is lost on some.
  Result<bool> refine(const Image& image, std::vector<DetectedFace>& faces) const {
    const std::lock_guard lock(mutex_);
    return guard_opencv([&] {
      cv::Mat grey;
      cv::cvtColor(mat_of(image), grey, cv::COLOR_RGB2GRAY);
      bool all = faces.size() <= kMaxFaces;
      for (size_t i = 0; i < std::min(kMaxFaces, faces.size()); ++i)
        all = refine(grey, faces[i]) && all;
      return all;
    });
  }

  bool refine(const cv::Mat& grey, DetectedFace& face) const {
    const Similarity rough = placement_of(face.box);
    const ScaledPhoto photo = scaled_for(grey, rough);
    Similarity placement = rough;
    for (int pass = 0; pass < kPasses; ++pass) {
      network_.setInput(cv::dnn::blobFromImage(view(photo, placement)));
      const cv::Mat output = network_.forward();
      CV_Assert(output.type() == CV_32F && output.total() == 4);
      placement = compose(placement, correction_of(output.ptr<float>()));
    }
    const double growth = std::hypot(placement.a, placement.b) / std::hypot(rough.a, rough.b);
    if (!(growth > 0.5 && growth < 2)) return false;  // the network is lost: what was found stays
    face.landmarks.clear();
    for (const Point& point : kTemplate)
      face.landmarks.push_back(
          {static_cast<float>(placement.a * point.x - placement.b * point.y + placement.shift_x),
           static_cast<float>(placement.b * point.x + placement.a * point.y + placement.shift_y)});
    face.landmarks_found = true;
    return true;
  }

  std::unique_ptr<Detector> rough_;
  std::string name_;
  mutable std::mutex mutex_;
  mutable cv::dnn::Net network_;
};

}  // namespace

Result<std::unique_ptr<Detector>> make_refined_detector(std::unique_ptr<Detector> rough,
                                                        const std::filesystem::path& model) {
  BAUTA_TRY(const Bytes bytes, read_file(model, kMaxModelBytes));
  auto network = guard_opencv([&] {
    return cv::dnn::readNetFromONNX(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  if (!network.ok() || network->empty())
    return make_error(ErrorCode::corrupt,
                      "{} is not a landmark network that OpenCV {} can run; use landmarks.onnx.",
                      model.string(), CV_VERSION);
  return std::unique_ptr<Detector>(new RefinedDetector(std::move(rough), std::move(*network)));
}

}  // namespace bauta::face
