// Alignment: every face to the same 112x112 frame, whatever the photo.
#pragma once

#include <span>

#include "face/detect.h"

namespace bauta::face {

inline constexpr int kAlignedSide = 112;  // pixels

// A face brought to the frame below. Invariant: the image is kAlignedSide x kAlignedSide.
struct AlignedFace {
  Image image;
};

// Where the landmarks of an aligned face stand: the 112x112 template in common use for face
// networks (Deng et al., ArcFace, CVPR 2019; its public implementation).
inline constexpr Point kTemplate[5] = {{38.2946f, 51.6963f},
                                       {73.5318f, 51.5014f},
                                       {56.0252f, 71.7366f},
                                       {41.5493f, 92.3655f},
                                       {70.7299f, 92.2041f}};

// Where the eyes of a face stand on average once its five landmarks are fitted to the template
// (measured over some thousand faces). Two landmarks are brought here, so that both ways of
// aligning agree.
inline constexpr Point kEyeTemplate[2] = {{38.1f, 53.2f}, {72.3f, 53.2f}};

// p -> (a*x - b*y + shift_x, b*x + a*y + shift_y): rotation, scale and translation, no reflection.
struct Similarity {
  double a = 1;
  double b = 0;
  double shift_x = 0;
  double shift_y = 0;
};

// The similarity with the least sum of squared distances from the images of `from` to `to`
// (Umeyama, TPAMI 1991, for two dimensions in closed form).
// Error invalid_argument: fewer than two points, different counts, or all points of `from` alike.
Result<Similarity> fit_similarity(std::span<const Point> from, std::span<const Point> to);

// The face with the given landmarks (two or five, as in DetectedFace) in the template's frame;
// bilinear, black outside the photo. Errors as fit_similarity's.
Result<AlignedFace> align_face(const Image& photo, std::span<const Point> landmarks);

}  // namespace bauta::face
