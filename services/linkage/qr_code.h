// QR codes for invitations (libqrencode).
#pragma once

#include <string>

#include "base/result.h"

namespace bauta::linkage {

// An SVG document, black on white with the margin that readers need. Error invalid_argument: too
// long for a QR code.
Result<std::string> qr_svg(const std::string& text);
// For a terminal: two rows a line, in block characters, light on dark.
Result<std::string> qr_text(const std::string& text);

}  // namespace bauta::linkage
