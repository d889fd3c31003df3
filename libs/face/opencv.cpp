#include "face/opencv.h"

#include <opencv2/core/utils/logger.hpp>

namespace bauta::face {

void silence_opencv() {
  static const bool silenced = [] {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    cv::redirectError([](int, const char*, const char*, const char*, int, void*) { return 0; });
    return true;
  }();
  (void)silenced;
}

}  // namespace bauta::face
