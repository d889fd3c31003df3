#include "face/schematic_face.h"

#include <cmath>

#include "face/align.h"

namespace bauta::face {
namespace {

// An ellipse that adds `level` to what is below it. Those beside the middle come in mirrored pairs.
struct Blob {
  float from_middle, y;      // of the centre, in pixels of the template
  float radius_x, radius_y;  // pixels
  float level;
};

constexpr float kMiddle = kAlignedSide / 2.0f;
constexpr float kAround = 0.2f;  // grey level of hair and background
constexpr Blob kOval = {0, 62, 44, 58, 0.315f};
constexpr Blob kFeatures[] = {
    {17.6f, 50, 11, 7, -0.12f},      // socket of the eye
    {19, 38.5f, 10, 2.2f, -0.22f},   // brow
    {17.6f, 52, 7, 2.6f, -0.25f},    // lids
    {17.6f, 52, 2.6f, 2.6f, -0.2f},  // iris
    {7, 66, 3, 9, -0.05f},           // side of the nose
    {9.5f, 73, 2.5f, 3, -0.08f},     // wing of the nose
    {0, 64, 2.5f, 12, 0.06f},        // ridge
    {0, 72, 4, 3, 0.08f},            // tip
    {6, 76, 2.2f, 1.6f, -0.2f},      // nostril
    {0, 79, 7, 2, -0.12f},           // shadow under the nose
    {20, 82, 4, 8, -0.05f},          // fold of the cheek
    {0, 92, 14, 3.5f, -0.2f},        // lips
    {0, 92, 13, 1.2f, -0.15f},       // line between them
    {0, 101, 10, 2.5f, -0.08f},      // shadow under the lips
};

// Distance from the centre in radii.
float radii_from(const Blob& blob, float side, int x, int y) {
  return std::hypot((static_cast<float>(x) - kMiddle - side * blob.from_middle) / blob.radius_x,
                    (static_cast<float>(y) - blob.y) / blob.radius_y);
}

float level_at(int x, int y) {
  // A steep but smooth rim; the features fade out like bells.
  float level = kAround + kOval.level / (1 + std::exp(12 * (radii_from(kOval, 0, x, y) - 1)));
  const auto add = [&](const Blob& blob, float side) {
    const float radii = radii_from(blob, side, x, y);
    level += blob.level * std::exp(-0.8f * radii * radii);
  };
  for (const Blob& blob : kFeatures) {
    add(blob, 1);
    if (blob.from_middle > 0) add(blob, -1);
  }
  return level;
}

}  // namespace

cv::Mat draw_schematic_face() {
  cv::Mat face(kAlignedSide, kAlignedSide, CV_32F);
  for (int y = 0; y < kAlignedSide; ++y)
    for (int x = 0; x < kAlignedSide; ++x) face.at<float>(y, x) = level_at(x, y);
  return face;
}

}  // namespace bauta::face
