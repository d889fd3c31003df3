#include "services/linkage/package.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

namespace bauta::linkage {
namespace {

constexpr std::string_view kMagic = "BAUTAPK1";
constexpr size_t kMaxName_bytes = 200, kMaxGender_bytes = 60;
constexpr int kMaxAge = 130;

// Writes into locked memory of the right size, so that nothing is left behind by growing.
class Filler {
 public:
  explicit Filler(std::span<uint8_t> left) : left_(left) {}
  void raw(ByteView bytes) {
    std::ranges::copy(bytes, left_.begin());
    left_ = left_.subspan(bytes.size());
  }
  void sized(ByteView bytes) {
    ByteWriter size;
    size.u32(static_cast<uint32_t>(bytes.size()));
    raw(size.bytes());
    raw(bytes);
  }
  void count(size_t value) {
    ByteWriter writer;
    writer.u32(static_cast<uint32_t>(value));
    raw(writer.bytes());
  }

 private:
  std::span<uint8_t> left_;
};

}  // namespace

Result<SecretBytes> make_package(std::string_view attributes, std::span<const Bytes> images) {
  if (images.empty() || images.size() > kMaxImages)
    return make_error(ErrorCode::invalid_argument, "{} images were sent; 1 to {} are wanted",
                      images.size(), kMaxImages);
  if (attributes.size() > kMaxAttributes_bytes)
    return make_error(ErrorCode::invalid_argument, "the attributes have more than {} bytes",
                      kMaxAttributes_bytes);
  size_t size = kMagic.size() + 4 + attributes.size() + 4;
  for (const Bytes& image : images) size += 4 + image.size();
  BAUTA_TRY(SecretBytes package, SecretBytes::create(size));
  Filler filler(package.span());
  filler.raw(as_bytes(kMagic));
  filler.sized(as_bytes(attributes));
  filler.count(images.size());
  for (const Bytes& image : images) filler.sized(image);
  return package;
}

Result<PackageView> read_package(ByteView package) {
  ByteReader reader(package, "package");
  PackageView view;
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  if (as_text(magic) != kMagic)
    return make_error(ErrorCode::corrupt, "this is not a package of a known version");
  BAUTA_TRY(const uint32_t attributes, reader.u32());
  if (attributes > kMaxAttributes_bytes)
    return make_error(ErrorCode::corrupt, "the attributes of a package are too long");
  BAUTA_TRY(const ByteView text, reader.raw(attributes));
  view.attributes = as_text(text);
  BAUTA_TRY(const uint32_t images, reader.u32());
  if (images == 0 || images > kMaxImages)
    return make_error(ErrorCode::corrupt, "a package has {} images", images);
  for (uint32_t i = 0; i < images; ++i) {
    BAUTA_TRY(const uint32_t size, reader.u32());
    BAUTA_TRY(const ByteView image, reader.raw(size));
    view.images.push_back(image);
  }
  BAUTA_CHECK(reader.finish());
  return view;
}

Result<std::string> make_attributes(const std::string& name, const std::string& age,
                                    const std::string& gender) {
  nlohmann::ordered_json attributes = nlohmann::ordered_json::object();
  if (name.size() > kMaxName_bytes || gender.size() > kMaxGender_bytes)
    return make_error(ErrorCode::invalid_argument,
                      "the name has at most {} bytes and the gender {}", kMaxName_bytes,
                      kMaxGender_bytes);
  if (!name.empty()) attributes["name"] = name;
  if (!gender.empty()) attributes["gender"] = gender;
  if (!age.empty()) {
    int years = -1;
    const char* const end = age.data() + age.size();
    if (std::from_chars(age.data(), end, years).ptr != end || years < 0 || years > kMaxAge)
      return make_error(ErrorCode::invalid_argument, "the age is a whole number from 0 to {}",
                        kMaxAge);
    attributes["age"] = years;
  }
  return attributes.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace bauta::linkage
