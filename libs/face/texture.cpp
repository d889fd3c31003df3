#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <opencv2/imgproc.hpp>

#include "face/engine.h"
#include "face/opencv.h"
#include "face/schematic_face.h"

namespace bauta::face {
namespace {

// Local binary patterns (Ojala, Pietikainen and Maenpaa, TPAMI 2002): each pixel by which of its
// eight neighbours are at least as bright, counted by uniform pattern over the cells of a grid, as
// Ahonen, Hadid and Pietikainen (TPAMI 2006) do for faces. Made symmetric as the classic engine's
// histograms: the counts of the face and of its mirror image are added.
constexpr int kBegin = 8;  // pixels of the template, on every side
constexpr int kCells = 8;  // a side
constexpr int kCellSide = (kAlignedSide - 2 * kBegin) / kCells;
constexpr int kRadius = 2;  // of the neighbours, pixels
constexpr double kBlur = 1.0;
// A neighbour is brighter only by more than this (grey levels): noise makes no pattern.
constexpr int kMargin = 3;
// By the number of bright neighbours where they stand side by side (0 to 8), by the direction of
// the middle of an arc of 3 to 5 in four, mirrored; the rest together.
constexpr size_t kBins = 20;
constexpr uint32_t kDimension = kCells * kCells / 2 * kBins;

// Calibrated as docs/formats/engine-description.md says.
constexpr double kThresholdVerify = 0.78;
constexpr double kThresholdIdentify = 0.84;

// Changes whenever the same face gives another embedding.
constexpr std::string_view kDefinition = "bauta texture engine 1";

using Histogram = std::array<float, kBins>;
using Histograms = std::array<Histogram, kCells * kCells>;

// Neighbours in the order of a circle, the first to the right, then clockwise in the image.
constexpr std::array<std::pair<int, int>, 8> kNeighbours{
    {{1, 0}, {1, 1}, {0, 1}, {-1, 1}, {-1, 0}, {-1, -1}, {0, -1}, {1, -1}}};

constexpr uint8_t mirrored(uint8_t pattern) {
  // (x, y) to (-x, y): neighbour k to (4 - k) mod 8.
  uint8_t mirror = 0;
  for (int k = 0; k < 8; ++k)
    if ((pattern >> k & 1) != 0) mirror = static_cast<uint8_t>(mirror | 1 << ((12 - k) % 8));
  return mirror;
}

// Bins: 0 to 8 by count for arcs of other lengths than 3 to 5; 9 to 18 for those, by twice the
// angle of their middle where it matters; 19 for patterns of several arcs.
constexpr size_t bin_of(uint8_t pattern) {
  const uint8_t turned = std::rotl(pattern, 1);
  const int changes = std::popcount(static_cast<uint8_t>(pattern ^ turned));
  const int count = std::popcount(pattern);
  if (changes > 2) return kBins - 1;
  if (count < 3 || count > 5) return static_cast<size_t>(count);
  int first = 0;
  while ((pattern >> first & 1) == 0 || (pattern >> ((first + 7) % 8) & 1) != 0) ++first;
  return 9 + static_cast<size_t>((first + count / 2) % 8);
}

constexpr auto kBinOf = [] {
  std::array<uint8_t, 256> bins{};
  for (int pattern = 0; pattern < 256; ++pattern)
    bins[static_cast<size_t>(pattern)] =
        static_cast<uint8_t>(bin_of(static_cast<uint8_t>(pattern)));
  return bins;
}();

uint8_t pattern_at(const cv::Mat& grey, int x, int y) {
  const int centre = grey.at<uint8_t>(y, x) + kMargin;
  uint8_t pattern = 0;
  for (size_t k = 0; k < kNeighbours.size(); ++k) {
    const auto [dx, dy] = kNeighbours[k];
    if (grey.at<uint8_t>(y + kRadius * dy, x + kRadius * dx) >= centre)
      pattern = static_cast<uint8_t>(pattern | 1 << k);
  }
  return pattern;
}

// Square roots of shares, so that a cell's common patterns do not drown the others; cells count
// less the farther they lie from the middle of the face.
Embedding to_embedding(const cv::Mat& grey) {
  Histograms histograms{};
  for (int y = 0; y < kCells * kCellSide; ++y)
    for (int x = 0; x < kCells * kCellSide; ++x) {
      const uint8_t pattern = pattern_at(grey, kBegin + x, kBegin + y);
      const int column = x / kCellSide, row = y / kCellSide;
      histograms[static_cast<size_t>(row * kCells + column)][kBinOf[pattern]] += 1;
      histograms[static_cast<size_t>(row * kCells + kCells - 1 - column)]
                [kBinOf[mirrored(pattern)]] += 1;
    }
  Embedding embedding;
  embedding.reserve(kDimension);
  for (int row = 0; row < kCells; ++row)
    for (int column = 0; column < kCells / 2; ++column) {
      const float dx = (static_cast<float>(column) + 0.5f) / kCells - 0.5f;
      const float dy = (static_cast<float>(row) + 0.5f) / kCells - 0.45f;
      const float focus = std::exp(-(dx * dx + dy * dy) / (2 * 0.35f * 0.35f));
      for (const float count : histograms[static_cast<size_t>(row * kCells + column)])
        embedding.push_back(focus * std::sqrt(count));
    }
  return embedding;
}

cv::Mat smoothed(const cv::Mat& grey) {
  cv::Mat blurred;
  cv::GaussianBlur(grey, blurred, {}, kBlur);
  return blurred;
}

// What all faces share; from a drawing, as the classic engine's.
Embedding common_part() {
  cv::Mat grey;
  draw_schematic_face().convertTo(grey, CV_8U, 255);
  Embedding common = to_embedding(smoothed(grey));
  // The drawing has no skin: every pattern counts a little in every cell.
  float mean = 0;
  for (const float value : common) mean += value / static_cast<float>(common.size());
  for (float& value : common) value += mean;
  BAUTA_ASSERT(normalise(common).ok());
  return common;
}

class TextureEngine final : public Engine {
 public:
  const EmbeddingContract& contract() const override { return contract_; }

  Result<Embedding> extract(const AlignedFace& face) const override {
    BAUTA_TRY(Embedding embedding, guard_opencv([&] {
                cv::Mat grey;
                cv::cvtColor(mat_of(face.image), grey, cv::COLOR_RGB2GRAY);
                return to_embedding(smoothed(grey));
              }));
    BAUTA_CHECK(normalise(embedding));
    const auto shared = static_cast<float>(cosine_score(embedding, common_));
    for (size_t i = 0; i < embedding.size(); ++i) embedding[i] -= shared * common_[i];
    BAUTA_CHECK(normalise(embedding));
    return embedding;
  }

 private:
  const EmbeddingContract contract_{"texture",
                                    sha256(as_bytes(kDefinition)),
                                    kDimension,
                                    "cosine",
                                    "unit",
                                    kThresholdVerify,
                                    kThresholdIdentify};
  const Embedding common_ = common_part();
};

}  // namespace

std::unique_ptr<Engine> make_texture_engine() {
  return std::make_unique<TextureEngine>();
}

}  // namespace bauta::face
