#include "face/image.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <opencv2/imgcodecs.hpp>
#include <rapidcheck/gtest.h>

#include "face/drawn_photo.h"

namespace bauta::face {
namespace {

using testing::HasSubstr;

// Upper left quarter red, the rest grey: the orientation can be seen.
Image marked_image(int width = 96, int height = 64) {
  Image image = make_image(width, height);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const bool marked = x < width / 2 && y < height / 2;
      uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = marked ? 250 : 128;
      pixel[1] = pixel[2] = marked ? 10 : 128;
    }
  return image;
}

Bytes encoded(const Image& image, const char* extension) {
  cv::Mat bgr;
  cv::cvtColor(mat_of(image), bgr, cv::COLOR_RGB2BGR);
  Bytes bytes;
  cv::imencode(extension, bgr, bytes);
  return bytes;
}

bool is_red(const Image& image, int x, int y) {
  const uint8_t* pixel = image.row(y) + 3 * x;
  return pixel[0] > 200 && pixel[1] < 80 && pixel[2] < 80;
}

// Puts an EXIF segment that holds nothing but the orientation behind the start of a JPEG.
Bytes with_orientation(const Bytes& jpeg, uint8_t orientation) {
  const Bytes exif = {0xFF, 0xE1, 0, 34, 'E', 'x',         'i', 'f', 0, 0,    'M', 'M',
                      0,    42,   0, 0,  0,   8,           0,   1,   1, 0x12, 0,   3,
                      0,    0,    0, 1,  0,   orientation, 0,   0,   0, 0,    0,   0};
  Bytes result(jpeg.begin(), jpeg.begin() + 2);
  result.insert(result.end(), exif.begin(), exif.end());
  result.insert(result.end(), jpeg.begin() + 2, jpeg.end());
  return result;
}

class EveryFormat : public testing::TestWithParam<const char*> {};

TEST_P(EveryFormat, IsDecoded) {
  const auto image = decode_image(encoded(marked_image(), GetParam()));
  ASSERT_TRUE(image.ok()) << image.error().message;
  EXPECT_EQ(image->width, 96);
  EXPECT_EQ(image->height, 64);
  EXPECT_EQ(image->rgb.size(), 96u * 64 * 3);
  EXPECT_TRUE(is_red(*image, 20, 15));
  EXPECT_FALSE(is_red(*image, 20, 50));
  EXPECT_FALSE(is_red(*image, 70, 15));
}

TEST_P(EveryFormat, IsRefusedWhenCutOff) {
  const Bytes whole =
      encoded(DrawnPhoto(96, 96).add({48, 48, 0.8f}).noise(0.1, 1).image(), GetParam());
  for (size_t kept = 0; kept < whole.size() * 9 / 10; kept += 1 + kept / 16) {
    const auto image = decode_image(ByteView(whole).first(kept));
    ASSERT_FALSE(image.ok()) << GetParam() << " with " << kept << " of " << whole.size()
                             << " bytes";
    EXPECT_EQ(image.error().code, ErrorCode::invalid_argument);
  }
}

TEST_P(EveryFormat, OfOnePixelIsTooSmall) {
  const auto image = decode_image(encoded(make_image(1, 1), GetParam()));
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("1x1 pixels is too small"));
}

TEST_P(EveryFormat, IsRefusedAboveThePixelLimit) {
  ImageLimits limits;
  limits.max_pixels = 96 * 64 - 1;
  const auto image = decode_image(encoded(marked_image(), GetParam()), limits);
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("96x64 pixels is too large"));
}

TEST_P(EveryFormat, SurvivesFlippedBytes) {
  const Bytes whole = encoded(marked_image(), GetParam());
  rc::check([&](const std::vector<std::pair<uint16_t, uint8_t>>& flips) {
    Bytes bytes = whole;
    for (const auto& [at, bits] : flips) bytes[at % bytes.size()] ^= bits;
    ImageLimits limits;
    limits.max_pixels = 100'000;
    const auto image = decode_image(bytes, limits);
    if (!image.ok()) return;
    RC_ASSERT(image->rgb.size() == static_cast<size_t>(image->height) * image->row_bytes());
    RC_ASSERT(static_cast<size_t>(image->width) * static_cast<size_t>(image->height) <= 100'000u);
  });
}

INSTANTIATE_TEST_SUITE_P(Image, EveryFormat,
                         testing::Values(".jpg", ".png", ".webp", ".bmp", ".ppm"),
                         [](const auto& test) { return std::string(test.param).substr(1); });

TEST(Image, OfGreyAndOf16BitsBecomesRgb) {
  cv::Mat grey(64, 64, CV_16U, cv::Scalar(0x8000));
  Bytes png;
  cv::imencode(".png", grey, png);
  const auto image = decode_image(png);
  ASSERT_TRUE(image.ok()) << image.error().message;
  for (const uint8_t value : image->rgb) ASSERT_NEAR(value, 128, 1);
}

TEST(Image, IsTurnedUprightByItsExifOrientation) {
  const Bytes jpeg = encoded(marked_image(), ".jpg");
  struct Case {
    uint8_t orientation;
    int width, height, red_x, red_y;
  };
  for (const Case& expected : {Case{1, 96, 64, 20, 15}, Case{3, 96, 64, 75, 50},
                               Case{6, 64, 96, 50, 20}, Case{8, 64, 96, 15, 75}}) {
    const auto image = decode_image(with_orientation(jpeg, expected.orientation));
    ASSERT_TRUE(image.ok()) << image.error().message;
    EXPECT_EQ(image->width, expected.width);
    EXPECT_EQ(image->height, expected.height);
    EXPECT_TRUE(is_red(*image, expected.red_x, expected.red_y)) << int{expected.orientation};
  }
}

TEST(Image, IsRefusedWhenEmpty) {
  const auto image = decode_image({});
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("empty"));
}

TEST(Image, IsRefusedWhenNoImage) {
  for (const std::string_view text : {"hello", "%PDF-1.7 and more", "GIF89a", "P", "P9 1 1"}) {
    const auto image = decode_image(as_bytes(text));
    ASSERT_FALSE(image.ok()) << text;
    EXPECT_THAT(image.error().message, HasSubstr("not an image")) << text;
  }
}

TEST(Image, IsRefusedAboveTheByteLimit) {
  ImageLimits limits;
  limits.max_bytes = 100;
  const auto image = decode_image(encoded(marked_image(), ".png"), limits);
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("at most 100 bytes"));
}

TEST(Image, ThatClaimsToBeHugeIsNotDecoded) {
  Bytes png = encoded(marked_image(), ".png");
  png[16] = png[20] = 0x7F;  // 2^31 pixels wide and high
  const auto image = decode_image(png);
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("too large"));
  EXPECT_THAT(decode_image(as_bytes("P6 900000000 900000000 255 ")).error().message,
              HasSubstr("truncated"));
}

TEST(Image, WithASecondFrameHeaderIsRefused) {
  Bytes jpeg = encoded(marked_image(), ".jpg");
  const Bytes frame = {0xFF, 0xC0, 0, 11, 8, 0xFF, 0xFF, 0xFF, 0xFF, 1, 1, 0x11, 0};
  jpeg.insert(jpeg.begin() + 2, frame.begin(), frame.end());
  EXPECT_FALSE(decode_image(jpeg).ok());
}

TEST(Image, FileThatDoesNotExistIsNamed) {
  const auto image = read_image("/nowhere/face.jpg");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, ErrorCode::not_found);
  EXPECT_THAT(image.error().message, HasSubstr("/nowhere/face.jpg"));
}

TEST(Image, FileThatIsNoImageIsNamed) {
  const auto path = std::filesystem::path(testing::TempDir()) / "no_image.jpg";
  std::ofstream(path) << "not at all";
  const auto image = read_image(path);
  ASSERT_FALSE(image.ok());
  EXPECT_THAT(image.error().message, HasSubstr("no_image.jpg: This is not an image"));
}

TEST(Image, SurvivesEncodingAsPng) {
  const Image original = marked_image();
  const auto png = encode_png(original);
  ASSERT_TRUE(png.ok());
  const auto decoded = decode_image(*png);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->rgb, original.rgb);
}

}  // namespace
}  // namespace bauta::face
