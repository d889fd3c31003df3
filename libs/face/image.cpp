#include "face/image.h"

#include <algorithm>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "base/file.h"
#include "face/image_format.h"
#include "face/opencv.h"

namespace bauta::face {
namespace {

Status check_limits(const ImageHeader& header, const ImageLimits& limits) {
  if (header.width == 0 || header.height == 0)
    return make_error(ErrorCode::invalid_argument, "The {} image has no pixels.", header.format);
  if (header.width > limits.max_pixels / header.height)
    return make_error(ErrorCode::invalid_argument,
                      "The {} image of {}x{} pixels is too large; at most {} pixels are read. "
                      "Scale it down.",
                      header.format, header.width, header.height, limits.max_pixels);
  if (std::min(header.width, header.height) < static_cast<uint64_t>(limits.min_side))
    return make_error(ErrorCode::invalid_argument,
                      "The {} image of {}x{} pixels is too small; each side needs at least {}.",
                      header.format, header.width, header.height, limits.min_side);
  return {};
}

}  // namespace

Image make_image(int width, int height) {
  BAUTA_ASSERT(width > 0 && height > 0);
  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(height) * image.row_bytes());
  return image;
}

Result<Image> decode_image(ByteView bytes, const ImageLimits& limits) {
  if (bytes.empty()) return make_error(ErrorCode::invalid_argument, "The image is empty.");
  if (bytes.size() > limits.max_bytes)
    return make_error(ErrorCode::invalid_argument,
                      "The image of {} bytes is too large; at most {} bytes are read.",
                      bytes.size(), limits.max_bytes);
  BAUTA_TRY(const ImageHeader header, inspect_image(bytes));
  BAUTA_CHECK(check_limits(header, limits));
  const cv::Mat encoded(1, static_cast<int>(bytes.size()), CV_8U,
                        const_cast<uint8_t*>(bytes.data()));  // imdecode only reads it
  auto decoded = guard_opencv([&] { return cv::imdecode(encoded, cv::IMREAD_COLOR); });
  if (!decoded.ok() || decoded->empty())
    return make_error(ErrorCode::invalid_argument,
                      "The {} image is truncated or damaged. Send the whole original file.",
                      header.format);
  Image image = make_image(decoded->cols, decoded->rows);
  cv::Mat rgb = mat_of(image);
  cv::cvtColor(*decoded, rgb, cv::COLOR_BGR2RGB);
  return image;
}

Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits) {
  BAUTA_TRY(const Bytes bytes, read_file(path, limits.max_bytes));
  auto image = decode_image(bytes, limits);
  if (!image.ok())
    return make_error(image.error().code, "{}: {}", path.string(), image.error().message);
  return image;
}

Result<Bytes> encode_png(const Image& image) {
  return guard_opencv([&] {
    cv::Mat bgr;
    cv::cvtColor(mat_of(image), bgr, cv::COLOR_RGB2BGR);
    Bytes png;
    cv::imencode(".png", bgr, png);
    return png;
  });
}

}  // namespace bauta::face
