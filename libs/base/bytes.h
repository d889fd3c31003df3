// Little-endian reading and writing of byte strings; the reader never trusts a length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace bauta {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

inline ByteView as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);
// Error: odd length or a character that is not hexadecimal.
Result<Bytes> from_hex(std::string_view text);

// Appends fixed-width little-endian values to a growing byte string.
class ByteWriter {
 public:
  void u8(uint8_t value) { bytes_.push_back(value); }
  void u16(uint16_t value) { little_endian(value); }
  void u32(uint32_t value) { little_endian(value); }
  void u64(uint64_t value) { little_endian(value); }
  void f64(double value);
  void raw(ByteView bytes);
  // u32 length, then the bytes.
  void text(std::string_view value);

  const Bytes& bytes() const { return bytes_; }
  Bytes take() && { return std::move(bytes_); }

 private:
  template <typename Integer>
  void little_endian(Integer value) {
    for (size_t i = 0; i < sizeof(Integer); ++i)
      bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  Bytes bytes_;
};

// Reads what ByteWriter wrote. Every read past the end is an error that names the object being read
// and the offset; nothing is allocated on the word of an unchecked length.
class ByteReader {
 public:
  // `what` names the object in errors, e.g. "probe ciphertext". The bytes must outlive the reader.
  ByteReader(ByteView bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  Result<uint8_t> u8();
  Result<uint16_t> u16();
  Result<uint32_t> u32();
  Result<uint64_t> u64();
  Result<double> f64();
  Result<ByteView> raw(size_t size_bytes);
  // Error also when the length stored exceeds max_size_bytes.
  Result<std::string> text(size_t max_size_bytes);
  // Error when bytes are left over.
  Status finish() const;

  size_t remaining() const { return bytes_.size() - offset_; }

 private:
  template <typename Integer>
  Result<Integer> little_endian();

  ByteView bytes_;
  std::string_view what_;
  size_t offset_ = 0;
};

}  // namespace bauta
