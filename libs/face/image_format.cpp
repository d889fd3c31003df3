#include "face/image_format.h"

#include <algorithm>
#include <array>

namespace bauta::face {
namespace {

// Marker codes of ITU-T T.81, table B.1.
constexpr uint8_t kStartOfImage = 0xD8;
constexpr uint8_t kEndOfImage = 0xD9;
constexpr uint8_t kStartOfScan = 0xDA;

bool starts_with(ByteView bytes, std::string_view magic, size_t at = 0) {
  return bytes.size() >= at + magic.size() && as_text(bytes.subspan(at, magic.size())) == magic;
}

// A number of `size` <= 4 bytes; the caller has checked that they are there.
uint32_t big_endian(ByteView bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | bytes[at + i];
  return value;
}
uint32_t little_endian(ByteView bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

Error cut_off(const char* format) {
  return make_error(ErrorCode::invalid_argument,
                    "The {} image is truncated or damaged. Send the whole original file.", format);
}

// The first marker with a segment, or end of image, at or after `at`. Skips entropy-coded data
// (0xFF stuffed with zero) and the markers that stand alone: restarts and TEM.
size_t next_marker(ByteView bytes, size_t at) {
  for (; at + 1 < bytes.size(); ++at) {
    const uint8_t code = bytes[at + 1];
    const bool alone = code <= 0x01 || code == 0xFF || (code >= 0xD0 && code <= 0xD7);
    if (bytes[at] == 0xFF && !alone) return at;
  }
  return bytes.size();
}

bool is_start_of_frame(uint8_t code) {
  return code >= 0xC0 && code <= 0xCF && code != 0xC4 && code != 0xC8 && code != 0xCC;
}

Result<ImageHeader> inspect_jpeg(ByteView bytes) {
  ImageHeader header{"JPEG", 0, 0};
  size_t at = 2;
  while (true) {
    at = next_marker(bytes, at);
    if (at + 4 > bytes.size()) {
      const bool ended = at + 2 == bytes.size() && bytes[at + 1] == kEndOfImage;
      if (ended && header.width > 0) return header;
      return cut_off("JPEG");
    }
    const uint8_t code = bytes[at + 1];
    if (code == kEndOfImage && header.width > 0) return header;
    const size_t length = big_endian(bytes, at + 2, 2);
    if (length < 2 || at + 2 + length > bytes.size()) return cut_off("JPEG");
    if (is_start_of_frame(code)) {
      if (length < 8 || header.width > 0) return cut_off("JPEG");
      header.height = big_endian(bytes, at + 5, 2);
      header.width = big_endian(bytes, at + 7, 2);
    }
    at += 2 + length;
    if (code == kStartOfScan && header.width == 0) return cut_off("JPEG");
  }
}

Result<ImageHeader> inspect_png(ByteView bytes) {
  if (bytes.size() < 33 || !starts_with(bytes, "IHDR", 12)) return cut_off("PNG");
  const ImageHeader header{"PNG", big_endian(bytes, 16, 4), big_endian(bytes, 20, 4)};
  size_t at = 8;
  while (at + 12 <= bytes.size()) {
    if (starts_with(bytes, "IEND", at + 4)) return header;
    const size_t length = big_endian(bytes, at, 4);
    if (length > bytes.size() - at - 12) break;
    at += 12 + length;
  }
  return cut_off("PNG");
}

Result<ImageHeader> inspect_webp(ByteView bytes) {
  if (bytes.size() < 30 || little_endian(bytes, 4, 4) > bytes.size() - 8) return cut_off("WebP");
  if (starts_with(bytes, "VP8X", 12))
    return ImageHeader{"WebP", little_endian(bytes, 24, 3) + 1, little_endian(bytes, 27, 3) + 1};
  if (starts_with(bytes, "VP8L", 12)) {
    const uint32_t sizes = little_endian(bytes, 21, 4);  // 14 bits each, minus one
    return ImageHeader{"WebP", (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1};
  }
  if (starts_with(bytes, "VP8 ", 12))
    return ImageHeader{"WebP", little_endian(bytes, 26, 2) & 0x3FFF,
                       little_endian(bytes, 28, 2) & 0x3FFF};
  return cut_off("WebP");
}

Result<ImageHeader> inspect_bmp(ByteView bytes) {
  if (bytes.size() < 34) return cut_off("BMP");
  const bool old =
      little_endian(bytes, 14, 4) == 12;  // the OS/2 header: 16-bit sizes, never compressed
  const uint64_t width = little_endian(bytes, 18, old ? 2 : 4);
  // A negative height says that the top row comes first.
  const auto signed_height = static_cast<int32_t>(little_endian(bytes, old ? 20 : 22, old ? 2 : 4));
  const auto height = static_cast<uint64_t>(std::abs(static_cast<int64_t>(signed_height)));
  const uint64_t bits = little_endian(bytes, old ? 24 : 28, 2);
  const uint32_t compression = old ? 0 : little_endian(bytes, 30, 4);
  const bool run_lengths = compression == 1 || compression == 2;
  const uint64_t row_bytes = (width * bits + 31) / 32 * 4;
  const uint64_t pixels_begin = little_endian(bytes, 10, 4);
  if (pixels_begin > bytes.size()) return cut_off("BMP");
  const uint64_t present = bytes.size() - pixels_begin;
  if (!run_lengths && height > 0 && row_bytes > present / height) return cut_off("BMP");
  return ImageHeader{"BMP", width, height};
}

// Reads PNM's "P5 # remark\n 640 480 255\n": numbers apart by white space, remarks to the end of a
// line.
class PnmNumbers {
 public:
  explicit PnmNumbers(ByteView bytes) : bytes_(bytes) {}

  // Nothing at the end of the file, at a letter, or above a billion.
  std::optional<uint64_t> next() {
    while (at_ < bytes_.size() && (is_space(bytes_[at_]) || bytes_[at_] == '#')) {
      if (bytes_[at_] == '#')
        while (at_ < bytes_.size() && bytes_[at_] != '\n') ++at_;
      else
        ++at_;
    }
    const size_t begin = at_;
    uint64_t value = 0;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9' && at_ - begin < 10;
         ++at_)
      value = value * 10 + (bytes_[at_] - '0');
    if (at_ == begin || value > 1'000'000'000) return std::nullopt;
    return value;
  }
  size_t at() const { return at_; }

 private:
  static bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }
  ByteView bytes_;
  size_t at_ = 2;
};

Result<ImageHeader> inspect_pnm(ByteView bytes) {
  PnmNumbers numbers(bytes);
  const char kind = static_cast<char>(bytes[1]);
  const bool bitmap = kind == '1' || kind == '4';
  const auto width = numbers.next();
  const auto height = numbers.next();
  const auto maximum = bitmap ? std::optional<uint64_t>(1) : numbers.next();
  if (!width || !height || !maximum) return cut_off("PNM");
  const uint64_t pixels = *width * *height;
  const uint64_t channels = kind == '3' || kind == '6' ? 3 : 1;
  // The plain kinds, '1' to '3', write at least a character for each value.
  uint64_t raster = pixels * channels * (*maximum > 255 && kind > '3' ? 2 : 1);
  if (kind == '4') raster = (*width + 7) / 8 * *height;
  if (raster > bytes.size() - numbers.at()) return cut_off("PNM");
  return ImageHeader{"PNM", *width, *height};
}

}  // namespace

Result<ImageHeader> inspect_image(ByteView bytes) {
  if (bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == kStartOfImage && bytes[2] == 0xFF)
    return inspect_jpeg(bytes);
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return inspect_png(bytes);
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return inspect_webp(bytes);
  if (starts_with(bytes, "BM")) return inspect_bmp(bytes);
  if (bytes.size() >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6')
    return inspect_pnm(bytes);
  return make_error(ErrorCode::invalid_argument,
                    "This is not an image that can be read. Use JPEG, PNG, WebP, BMP or PNM.");
}

}  // namespace bauta::face
