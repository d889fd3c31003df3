#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include <opencv2/imgproc.hpp>

#include "face/engine.h"
#include "face/opencv.h"
#include "face/schematic_face.h"

namespace bauta::face {
namespace {

// Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) over the inner face, made
// symmetric: the histograms of the face and of its mirror image are added. That halves the
// dimension and cancels much of what turning the head and light from one side do to a face.
constexpr int kInnerBegin = 8;  // pixels of the template, on every side
constexpr int kInnerSide = kAlignedSide - 2 * kInnerBegin;
constexpr int kCells = 8;         // a side
constexpr int kOrientations = 8;  // of 180 degrees: an edge and its opposite are alike
constexpr float kCellSide = static_cast<float>(kInnerSide) / kCells;
constexpr uint32_t kDimension = kCells * kCells / 2 * kOrientations;
// Cells count less the farther they lie from the middle of the face: hair and background change.
constexpr float kFocusX = 0.5f, kFocusY = 0.45f, kFocusSpread = 0.35f;  // shares of the inner side

// Calibrated as docs/formats/engine-description.md says.
constexpr double kThresholdVerify = 0.80;
constexpr double kThresholdIdentify = 0.87;

// Changes whenever the same face gives another embedding.
constexpr std::string_view kDefinition = "bauta classic engine 1";

// What all faces share says nothing about whose face it is, and would make any two alike: most of
// it is subtracted. It comes from a drawing, with a little gradient of every orientation for the
// skin's texture; nobody's photo was averaged.
constexpr float kTexture = 0.4f;  // share of the drawing's mean gradient
constexpr float kCommonShare = 0.9f;

using Histogram = std::array<float, kOrientations>;
using Histograms = std::array<Histogram, kCells * kCells>;

Histogram& cell(Histograms& histograms, int x, int y) {
  return histograms[static_cast<size_t>(y * kCells + x)];
}

// Shares one pixel's gradient among the four nearest cells and two nearest orientations.
void add_gradient(Histograms& histograms, int x, int y, float gradient_x, float gradient_y) {
  const float magnitude = std::hypot(gradient_x, gradient_y);
  if (magnitude == 0) return;
  float turns = std::atan2(gradient_y, gradient_x) / std::numbers::pi_v<float>;
  if (turns < 0) turns += 1;
  const float orientation = turns * kOrientations - 0.5f;
  const float column = (static_cast<float>(x) + 0.5f) / kCellSide - 0.5f;
  const float row = (static_cast<float>(y) + 0.5f) / kCellSide - 0.5f;
  const int first = static_cast<int>(std::floor(orientation));
  const int left = static_cast<int>(std::floor(column));
  const int top = static_cast<int>(std::floor(row));
  const float second_share = orientation - static_cast<float>(first);
  const float right_share = column - static_cast<float>(left);
  const float bottom_share = row - static_cast<float>(top);
  const auto bin = [](int i) { return static_cast<size_t>((i + kOrientations) % kOrientations); };
  for (int dy = 0; dy < 2; ++dy)
    for (int dx = 0; dx < 2; ++dx) {
      if (left + dx < 0 || left + dx >= kCells || top + dy < 0 || top + dy >= kCells) continue;
      const float share = (dx == 1 ? right_share : 1 - right_share) *
                          (dy == 1 ? bottom_share : 1 - bottom_share) * magnitude;
      Histogram& histogram = cell(histograms, left + dx, top + dy);
      histogram[bin(first)] += share * (1 - second_share);
      histogram[bin(first + 1)] += share * second_share;
    }
}

Histograms gradient_histograms(const cv::Mat& grey) {
  Histograms histograms{};
  for (int y = 0; y < kInnerSide; ++y)
    for (int x = 0; x < kInnerSide; ++x) {
      const auto at = [&](int dx, int dy) {
        return grey.at<float>(kInnerBegin + y + dy, kInnerBegin + x + dx);
      };
      add_gradient(histograms, x, y, at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1));
    }
  return histograms;
}

float energy(const Histogram& histogram) {
  float sum = 0;
  for (const float value : histogram) sum += value * value;
  return sum;
}

// Divides each cell by the gradient strength around it, then takes square roots, so that neither
// strong light nor one strong edge dominates.
Histograms normalised(const Histograms& histograms) {
  constexpr float kFloor = 1e-4f;
  Histograms result{};
  for (int y = 0; y < kCells; ++y)
    for (int x = 0; x < kCells; ++x) {
      float around = 0;
      int cells = 0;
      for (int v = std::max(y - 1, 0); v <= std::min(y + 1, kCells - 1); ++v)
        for (int u = std::max(x - 1, 0); u <= std::min(x + 1, kCells - 1); ++u, ++cells)
          around += energy(histograms[static_cast<size_t>(v * kCells + u)]);
      const float strength = std::sqrt(around / static_cast<float>(cells)) + kFloor;
      const auto at = static_cast<size_t>(y * kCells + x);
      for (size_t k = 0; k < kOrientations; ++k)
        result[at][k] = std::sqrt(histograms[at][k] / strength);
    }
  return result;
}

float focus(int x, int y) {
  const float dx = (static_cast<float>(x) + 0.5f) / kCells - kFocusX;
  const float dy = (static_cast<float>(y) + 0.5f) / kCells - kFocusY;
  return std::exp(-(dx * dx + dy * dy) / (2 * kFocusSpread * kFocusSpread));
}

// Adds the mirror image: column x and its opposite, orientation k and its mirrored one.
Embedding symmetric(const Histograms& histograms) {
  Embedding embedding;
  embedding.reserve(kDimension);
  for (int y = 0; y < kCells; ++y)
    for (int x = 0; x < kCells / 2; ++x) {
      const Histogram& own = histograms[static_cast<size_t>(y * kCells + x)];
      const Histogram& opposite = histograms[static_cast<size_t>(y * kCells + kCells - 1 - x)];
      for (size_t k = 0; k < kOrientations; ++k)
        embedding.push_back(focus(x, y) * (own[k] + opposite[kOrientations - 1 - k]));
    }
  return embedding;
}

// Unit norm.
Embedding common_part() {
  Histograms histograms = gradient_histograms(draw_schematic_face());
  float sum = 0;
  for (const Histogram& histogram : histograms)
    for (const float value : histogram) sum += value;
  const float texture = kTexture * sum / static_cast<float>(kCells * kCells * kOrientations);
  for (Histogram& histogram : histograms)
    for (float& value : histogram) value += texture;
  Embedding common = symmetric(normalised(histograms));
  BAUTA_ASSERT(normalise(common).ok());
  return common;
}

class ClassicEngine final : public Engine {
 public:
  const EmbeddingContract& contract() const override { return contract_; }

  Result<Embedding> extract(const AlignedFace& face) const override {
    BAUTA_TRY(Embedding embedding, guard_opencv([&] {
                cv::Mat grey;
                cv::cvtColor(mat_of(face.image), grey, cv::COLOR_RGB2GRAY);
                grey.convertTo(grey, CV_32F, 1 / 255.0);
                return symmetric(normalised(gradient_histograms(grey)));
              }));
    BAUTA_CHECK(normalise(embedding));
    for (size_t i = 0; i < embedding.size(); ++i) embedding[i] -= kCommonShare * common_[i];
    BAUTA_CHECK(normalise(embedding));
    return embedding;
  }

 private:
  const EmbeddingContract contract_{"classic",
                                    sha256(as_bytes(kDefinition)),
                                    kDimension,
                                    "cosine",
                                    "unit",
                                    kThresholdVerify,
                                    kThresholdIdentify};
  const Embedding common_ = common_part();
};

}  // namespace

std::unique_ptr<Engine> make_classic_engine() {
  return std::make_unique<ClassicEngine>();
}

}  // namespace bauta::face
