// A face that is nobody's: a few soft blobs where every face has brows, eyes, nose and mouth.
// Inside the library only.
#pragma once

#include <opencv2/core.hpp>

namespace bauta::face {

// kAlignedSide x kAlignedSide grey levels (CV_32F, 0 to 1) in the template's frame.
cv::Mat draw_schematic_face();

}  // namespace bauta::face
