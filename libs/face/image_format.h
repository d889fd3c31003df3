// What the header of an image file says, before any decoder sees the file. Inside the library only.
#pragma once

#include "base/bytes.h"

namespace bauta::face {

struct ImageHeader {
  const char* format;  // "JPEG", ...
  uint64_t width;      // pixels
  uint64_t height;
};

// Reads the size from the header of a JPEG, PNG, WebP, BMP or PNM file, and sees that the file is
// all there as far as the format lets one tell without decoding. Errors (invalid_argument): none of
// these formats; cut off or malformed.
Result<ImageHeader> inspect_image(ByteView bytes);

}  // namespace bauta::face
