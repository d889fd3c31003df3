#include "base/bytes.h"

#include <bit>

namespace bauta {

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

Result<Bytes> from_hex(std::string_view text) {
  auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  if (text.size() % 2 != 0)
    return make_error(ErrorCode::invalid_argument, "hexadecimal text has an odd length, {}",
                      text.size());
  Bytes bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0)
      return make_error(ErrorCode::invalid_argument, "'{}' is not hexadecimal", text.substr(i, 2));
    bytes.push_back(static_cast<uint8_t>(16 * high + low));
  }
  return bytes;
}

void ByteWriter::f64(double value) {
  u64(std::bit_cast<uint64_t>(value));
}

// Not inline: g++ 12 warns of an overflow that is none when it inlines the insertion.
void ByteWriter::raw(ByteView bytes) {
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}

void ByteWriter::text(std::string_view value) {
  u32(static_cast<uint32_t>(value.size()));
  raw(as_bytes(value));
}

Result<ByteView> ByteReader::raw(size_t size_bytes) {
  if (size_bytes > remaining())
    return make_error(ErrorCode::corrupt,
                      "{} is truncated: {} bytes wanted at offset {}, {} are left", what_,
                      size_bytes, offset_, remaining());
  ByteView view = bytes_.subspan(offset_, size_bytes);
  offset_ += size_bytes;
  return view;
}

template <typename Integer>
Result<Integer> ByteReader::little_endian() {
  BAUTA_TRY(ByteView view, raw(sizeof(Integer)));
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) value |= uint64_t{view[i]} << (8 * i);
  return static_cast<Integer>(value);
}

Result<uint8_t> ByteReader::u8() {
  return little_endian<uint8_t>();
}
Result<uint16_t> ByteReader::u16() {
  return little_endian<uint16_t>();
}
Result<uint32_t> ByteReader::u32() {
  return little_endian<uint32_t>();
}
Result<uint64_t> ByteReader::u64() {
  return little_endian<uint64_t>();
}

Result<double> ByteReader::f64() {
  BAUTA_TRY(uint64_t bits, u64());
  return std::bit_cast<double>(bits);
}

Result<std::string> ByteReader::text(size_t max_size_bytes) {
  BAUTA_TRY(uint32_t size_bytes, u32());
  if (size_bytes > max_size_bytes)
    return make_error(ErrorCode::corrupt, "{} holds a text of {} bytes where at most {} may stand",
                      what_, size_bytes, max_size_bytes);
  BAUTA_TRY(ByteView view, raw(size_bytes));
  return std::string(as_text(view));
}

Status ByteReader::finish() const {
  if (remaining() != 0)
    return make_error(ErrorCode::corrupt, "{} has {} bytes after its end", what_, remaining());
  return {};
}

}  // namespace bauta
