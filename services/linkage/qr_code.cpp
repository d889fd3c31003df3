#include "services/linkage/qr_code.h"

#include <memory>

#include <qrencode.h>

namespace bauta::linkage {
namespace {

constexpr int kMargin = 4;  // modules, ISO/IEC 18004

struct Release {
  void operator()(QRcode* code) const { QRcode_free(code); }
};
using Code = std::unique_ptr<QRcode, Release>;

Result<Code> encode(const std::string& text) {
  Code code(QRcode_encodeString(text.c_str(), 0, QR_ECLEVEL_M, QR_MODE_8, 1));
  if (code != nullptr) return code;
  return make_error(ErrorCode::invalid_argument, "{} bytes do not fit into a QR code", text.size());
}

bool is_dark(const QRcode& code, int x, int y) {
  return x >= 0 && y >= 0 && x < code.width && y < code.width &&
         (code.data[y * code.width + x] & 1) != 0;
}

}  // namespace

Result<std::string> qr_svg(const std::string& text) {
  BAUTA_TRY(const Code code, encode(text));
  const int side = code->width + 2 * kMargin;
  std::string path;
  for (int y = 0; y < code->width; ++y)
    for (int x = 0; x < code->width; ++x)
      if (is_dark(*code, x, y)) path += fmt::format("M{} {}h1v1h-1z", x + kMargin, y + kMargin);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {0}\" width=\"{1}\" "
      "height=\"{1}\" shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{0}v{0}H0z\"/>"
      "<path d=\"{2}\"/></svg>\n",
      side, 8 * side, path);
}

Result<std::string> qr_text(const std::string& text) {
  BAUTA_TRY(const Code code, encode(text));
  // By what is light in the upper and the lower half.
  constexpr const char* kBlocks[] = {" ", "\u2584", "\u2580", "\u2588"};
  std::string lines;
  for (int y = -kMargin; y < code->width + kMargin; y += 2) {
    for (int x = -kMargin; x < code->width + kMargin; ++x)
      lines += kBlocks[2 * (is_dark(*code, x, y) ? 0 : 1) + (is_dark(*code, x, y + 1) ? 0 : 1)];
    lines += '\n';
  }
  return lines;
}

}  // namespace bauta::linkage
