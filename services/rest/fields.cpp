// From a body, JSON or multipart, to what an operation needs.

#include <algorithm>
#include <array>

#include "services/rest/operations.h"

namespace bauta::rest {
namespace {

// Before anything is built from it, JSON is looked over: a small text can otherwise become a large
// tree.
constexpr size_t kMaxDepth = 4, kMaxValues = 1000;

Status check_json_shape(std::string_view text) {
  size_t depth = 0, deepest = 0, values = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      if (c == '"') quoted = false;
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
      ++values;
    } else if (c == ']' || c == '}') {
      depth -= depth > 0 ? 1 : 0;
    } else if (c == ',') {
      ++values;
    }
  }
  if (deepest > kMaxDepth || values > kMaxValues)
    return make_error(ErrorCode::invalid_argument,
                      "the JSON is nested deeper than {} or has more than {} values", kMaxDepth,
                      kMaxValues);
  return {};
}

constexpr auto kBase64 = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  int8_t value = 0;
  for (const char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
    values[static_cast<uint8_t>(c)] = value++;
  return values;
}();

Result<Bytes> from_base64(std::string_view text) {
  const Error wrong =
      make_error(ErrorCode::invalid_argument, "an image is not base64 without line breaks");
  if (text.size() % 4 != 0) return wrong;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  Bytes bytes;
  bytes.reserve(text.size() / 4 * 3);
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size() - padding; ++i) {
    const int8_t value = kBase64[static_cast<uint8_t>(text[i])];
    if (value < 0) return wrong;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    if (i % 4 == 3)
      for (const int shift : {16, 8, 0}) bytes.push_back(static_cast<uint8_t>(bits >> shift));
  }
  // 18 bits are left of a group with one '=', 12 of one with two.
  if (padding == 1) bytes.push_back(static_cast<uint8_t>(bits >> 10));
  if (padding == 1) bytes.push_back(static_cast<uint8_t>(bits >> 2));
  if (padding == 2) bytes.push_back(static_cast<uint8_t>(bits >> 4));
  return bytes;
}

Status take_text(const std::string& name, const Json& value, std::string& into) {
  if (!value.is_string())
    return make_error(ErrorCode::invalid_argument, "'{}' should be a text", name);
  into = value.get<std::string>();
  return {};
}

Status take_images(const std::string& name, const Json& value, std::vector<Bytes>& images) {
  const std::span<const Json> list =
      value.is_array() ? std::span<const Json>(value.get_ref<const Json::array_t&>())
                       : std::span<const Json>(&value, 1);
  for (const Json& image : list) {
    if (!image.is_string())
      return make_error(ErrorCode::invalid_argument, "'{}' should be base64", name);
    BAUTA_TRY(Bytes bytes, from_base64(image.get_ref<const std::string&>()));
    images.push_back(std::move(bytes));
  }
  return {};
}

void wipe_texts(Json& json) {
  if (auto* const text = json.get_ptr<std::string*>(); text != nullptr)
    wipe({reinterpret_cast<uint8_t*>(text->data()), text->size()});
  if (json.is_structured())
    for (Json& element : json) wipe_texts(element);
}

// A parsed body holds the images as texts.
struct TextsWipedAtEnd {
  Json& json;
  ~TextsWipedAtEnd() { wipe_texts(json); }
};

Result<Fields> read_json(const std::string& text) {
  BAUTA_CHECK(check_json_shape(text));
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const TextsWipedAtEnd texts_end{json};
  if (!json.is_object())
    return make_error(ErrorCode::invalid_argument, "the body is not a JSON object");
  Fields fields;
  for (const auto& [name, value] : std::as_const(json).items()) {
    if (name == "gallery") {
      BAUTA_CHECK(take_text(name, value, fields.gallery));
    } else if (name == "subject") {
      BAUTA_CHECK(take_text(name, value, fields.subject));
    } else if (name == "mode") {
      BAUTA_CHECK(take_text(name, value, fields.mode.emplace()));
    } else if (name == "image" || name == "images") {
      BAUTA_CHECK(take_images(name, value, fields.images));
    } else {
      return make_error(ErrorCode::invalid_argument, "there is no field '{}'", name);
    }
  }
  return fields;
}

Result<Fields> read_parts(const std::vector<Body::Part>& parts) {
  Fields fields;
  for (const Body::Part& part : parts) {
    if (part.name == "gallery") {
      fields.gallery = part.content;
    } else if (part.name == "subject") {
      fields.subject = part.content;
    } else if (part.name == "mode") {
      fields.mode = part.content;
    } else if (part.name == "image" || part.name == "images") {
      fields.images.emplace_back(part.content.begin(), part.content.end());
    } else {
      return make_error(ErrorCode::invalid_argument, "there is no field '{}'", part.name);
    }
  }
  return fields;
}

}  // namespace

Result<Fields> read_fields(const Operation& operation, const Head& head, const Body& body,
                           size_t max_images) {
  if (operation.body == BodyKind::none) return Fields();
  const bool multipart = head.content_type.starts_with("multipart/form-data");
  BAUTA_TRY(Fields fields, multipart ? read_parts(body.parts) : read_json(body.json));
  const bool needs_gallery = operation.body == BodyKind::gallery;
  const bool needs_subject = operation.body == BodyKind::subject_images;
  if (fields.gallery.empty() == needs_gallery)
    return make_error(ErrorCode::invalid_argument, "the field 'gallery' {}",
                      needs_gallery ? "is missing" : "does not belong here");
  if (fields.subject.empty() == needs_subject)
    return make_error(ErrorCode::invalid_argument, "the field 'subject' {}",
                      needs_subject ? "is missing" : "does not belong here");
  const bool has_mode = !needs_gallery && operation.body != BodyKind::image;
  if (fields.mode && (!has_mode || (fields.mode != kTemplateMode && fields.mode != kImageMode)))
    return make_error(ErrorCode::invalid_argument, "the field 'mode' {}",
                      has_mode ? "should be template or image" : "does not belong here");
  const bool one_image = operation.body == BodyKind::probe || operation.body == BodyKind::image;
  const size_t most = needs_gallery ? 0 : one_image ? 1 : max_images;
  if (fields.images.size() > most || (most > 0 && fields.images.empty()))
    return make_error(ErrorCode::invalid_argument, "{} images were sent; {} wanted",
                      fields.images.size(),
                      most == 0   ? "none is"
                      : most == 1 ? "one is"
                                  : fmt::format("1 to {} are", most));
  return fields;
}

}  // namespace bauta::rest
