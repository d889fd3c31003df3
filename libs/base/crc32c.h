// CRC-32C (Castagnoli, RFC 3720 appendix B.4): finds accidental damage of large files at the speed
// of reading them. No protection against intent; that is digest.h.
#pragma once

#include "base/bytes.h"

namespace bauta {

// Of the bytes; or of what gave `before`, followed by them.
uint32_t crc32c(ByteView bytes, uint32_t before = 0);

namespace internal {
// For processors without SSE 4.2, and for its test.
uint32_t crc32c_portable(ByteView bytes, uint32_t before = 0);
}  // namespace internal

}  // namespace bauta
