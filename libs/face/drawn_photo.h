// Photos for tests: the schematic face, drawn where a test wants it. No person was ever in front of
// a camera.
#pragma once

#include <opencv2/imgproc.hpp>

#include "face/align.h"
#include "face/opencv.h"
#include "face/schematic_face.h"

namespace bauta::face {

struct DrawnFace {
  float x = 320, y = 320;  // middle of the face in the photo
  float scale = 3;         // pixels of the photo per pixel of the template
  float degrees = 0;       // turned counter-clockwise
};

class DrawnPhoto {
 public:
  explicit DrawnPhoto(int width = 640, int height = 640) : grey_(height, width, CV_32F, 0.2f) {}

  DrawnPhoto& add(const DrawnFace& face) {
    const double middle = kAlignedSide / 2.0;
    cv::Mat place =
        cv::getRotationMatrix2D({kAlignedSide / 2.0f, kAlignedSide / 2.0f},
                                static_cast<double>(face.degrees), static_cast<double>(face.scale));
    place.at<double>(0, 2) += static_cast<double>(face.x) - middle;
    place.at<double>(1, 2) += static_cast<double>(face.y) - middle;
    cv::warpAffine(draw_schematic_face(), grey_, place, grey_.size(), cv::INTER_LINEAR,
                   cv::BORDER_TRANSPARENT);
    return *this;
  }
  // Grey level g becomes g * gain + offset.
  DrawnPhoto& light(float gain, float offset) {
    grey_ = grey_ * gain + offset;
    return *this;
  }
  DrawnPhoto& blur(double sigma) {
    cv::GaussianBlur(grey_, grey_, {}, sigma);
    return *this;
  }
  // Gaussian noise, the same for the same seed.
  DrawnPhoto& noise(double deviation, uint64_t seed) {
    cv::Mat grain(grey_.size(), CV_32F);
    cv::RNG(seed).fill(grain, cv::RNG::NORMAL, 0, deviation);
    grey_ += grain;
    return *this;
  }

  Image image() const {
    Image image = make_image(grey_.cols, grey_.rows);
    cv::Mat bytes, rgb = mat_of(image);
    grey_.convertTo(bytes, CV_8U, 255);
    cv::cvtColor(bytes, rgb, cv::COLOR_GRAY2RGB);
    return image;
  }

 private:
  cv::Mat grey_;
};

}  // namespace bauta::face
