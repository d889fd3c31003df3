// The name of a secret key, carried by everything encrypted or made under it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace bauta::ckks {

// 16 bytes that follow from the seed of the key by a hash, so that the same seed gives the same
// name and the name says nothing about the key. All zero means "no key".
struct KeyId {
  std::array<uint8_t, 16> bytes{};

  friend bool operator==(const KeyId&, const KeyId&) = default;
  friend auto operator<=>(const KeyId&, const KeyId&) = default;
};

using bauta::to_hex;
// 32 hexadecimal digits.
inline std::string to_hex(const KeyId& id) {
  return bauta::to_hex(id.bytes);
}

// Error `mismatch` naming `what` and both keys, when the object is not under `expected`.
Status check_key_id(std::string_view what, const KeyId& actual, const KeyId& expected);

}  // namespace bauta::ckks
