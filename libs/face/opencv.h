// The seam to OpenCV: views of our images as matrices, and its exceptions as errors. Inside the
// library only.
#pragma once

#include <type_traits>

#include <opencv2/core.hpp>

#include "face/image.h"

namespace bauta::face {

// A view, not a copy: the image must outlive it.
inline cv::Mat mat_of(Image& image) {
  return cv::Mat(image.height, image.width, CV_8UC3, image.rgb.data());
}
inline const cv::Mat mat_of(const Image& image) {
  return cv::Mat(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.rgb.data()));
}

// Keeps OpenCV from writing to stderr what is reported as an Error anyway.
void silence_opencv();

// Runs the call; whatever it throws becomes an Error of code internal.
template <typename Call>
Result<std::invoke_result_t<Call>> guard_opencv(Call&& call) {
  silence_opencv();
  try {
    return call();
  } catch (const cv::Exception& exception) {
    return make_error(ErrorCode::internal, "OpenCV failed: {}", exception.err);
  } catch (const std::exception& exception) {
    return make_error(ErrorCode::internal, "OpenCV failed: {}", exception.what());
  }
}

}  // namespace bauta::face
