// Images as the rest of the project sees them: upright RGB pixels, decoded within limits.
#pragma once

#include <filesystem>

#include "base/bytes.h"

namespace bauta::face {

// Row-major RGB, 8 bits a channel, no padding: rgb.size() == width * height * 3.
struct Image {
  int width = 0;   // pixels
  int height = 0;  // pixels
  Bytes rgb;

  const uint8_t* row(int y) const { return rgb.data() + static_cast<size_t>(y) * row_bytes(); }
  uint8_t* row(int y) { return rgb.data() + static_cast<size_t>(y) * row_bytes(); }
  size_t row_bytes() const { return static_cast<size_t>(width) * 3; }
};

// An image of the given size, black.
Image make_image(int width, int height);

struct ImageLimits {
  size_t max_bytes = 32u << 20;
  size_t max_pixels = 50'000'000;  // checked before anything is decoded
  int min_side = 32;               // pixels
};

// Decodes JPEG, PNG, WebP, BMP, TIFF or PNM (PBM, PGM, PPM), told apart by content, and turns it
// upright by its EXIF orientation. Grey becomes RGB, 16 bits become 8, transparency is dropped.
// Errors (invalid_argument): empty; more than a limit; no image of these formats; truncated or
// damaged; smaller than min_side.
Result<Image> decode_image(ByteView bytes, const ImageLimits& limits = {});

// The same from a file. Errors also as read_file's.
Result<Image> read_image(const std::filesystem::path& path, const ImageLimits& limits = {});

// The image as a PNG file.
Result<Bytes> encode_png(const Image& image);

}  // namespace bauta::face
