// SHA-256 (OpenSSL): checksums of serialised objects, digests of parameters and models.
#pragma once

#include <array>

#include "base/bytes.h"

namespace bauta {

using Digest = std::array<uint8_t, 32>;

Digest sha256(ByteView bytes);
// Of the concatenation of the parts.
Digest sha256(std::span<const ByteView> parts);

}  // namespace bauta
