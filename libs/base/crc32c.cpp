#include "base/crc32c.h"

#include <array>
#include <cstring>

#include <nmmintrin.h>

namespace bauta {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82f63b78;

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit)
      value = (value >> 1) ^ ((value & 1) != 0 ? kReversedPolynomial : 0);
    table[byte] = value;
  }
  return table;
}

__attribute__((target("sse4.2"))) uint32_t crc32c_sse42(ByteView bytes, uint32_t before) {
  uint64_t value = ~before;
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    value = _mm_crc32_u64(value, word);
    bytes = bytes.subspan(sizeof word);
  }
  auto last = static_cast<uint32_t>(value);
  for (const uint8_t byte : bytes) last = _mm_crc32_u8(last, byte);
  return ~last;
}

}  // namespace

uint32_t internal::crc32c_portable(ByteView bytes, uint32_t before) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  uint32_t value = ~before;
  for (const uint8_t byte : bytes) value = kTable[(value ^ byte) & 0xff] ^ (value >> 8);
  return ~value;
}

uint32_t crc32c(ByteView bytes, uint32_t before) {
  static const bool has_instruction = __builtin_cpu_supports("sse4.2") != 0;
  return has_instruction ? crc32c_sse42(bytes, before) : internal::crc32c_portable(bytes, before);
}

}  // namespace bauta
