// What a person registers: images of the face, and attributes if they like. In the clear it exists
// in locked memory only; at rest it is sealed (docs/formats/package.md).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"

namespace bauta::linkage {

inline constexpr size_t kMaxImages = 8;
inline constexpr size_t kMaxAttributes_bytes = 1024;

// Views into the bytes that were read, which must outlive it.
struct PackageView {
  std::string_view attributes;  // JSON: name, age, gender, each optional
  std::vector<ByteView> images;
};

// Errors: invalid_argument for no image, too many, or attributes that are too long.
Result<SecretBytes> make_package(std::string_view attributes, std::span<const Bytes> images);
// Error corrupt.
Result<PackageView> read_package(ByteView package);

// The attributes of a form in their one form. Errors: invalid_argument, in words for the person.
Result<std::string> make_attributes(const std::string& name, const std::string& age,
                                    const std::string& gender);

}  // namespace bauta::linkage
