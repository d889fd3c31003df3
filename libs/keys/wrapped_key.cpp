#include "keys/wrapped_key.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "keys/key_file.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "BAUTAKEY";
constexpr uint16_t kVersion = 1;
constexpr size_t kMaxRecord_bytes = 4096;
constexpr size_t kMaxWrapped_bytes = 1024;
constexpr std::string_view kExtension = ".wrapped";

template <size_t size_bytes>
Status read_into(ByteReader& reader, std::array<uint8_t, size_bytes>& value) {
  BAUTA_TRY(const ByteView bytes, reader.raw(size_bytes));
  std::copy(bytes.begin(), bytes.end(), value.begin());
  return {};
}

Error corrupt(std::string_view what) {
  return make_error(ErrorCode::corrupt, "{} is not a wrapped key of a known version", what);
}

}  // namespace

Bytes serialize(const KeyCopy& copy) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u16(kVersion);
  writer.text(serialize(copy.record));
  writer.raw(copy.check);
  writer.raw(copy.key.backup_key);
  writer.text(as_text(copy.key.wrapped));
  return std::move(writer).take();
}

Bytes with_signature(Bytes serialized, const SignedBy& signature) {
  serialized.insert(serialized.end(), signature.key.begin(), signature.key.end());
  serialized.insert(serialized.end(), signature.signature.begin(), signature.signature.end());
  return serialized;
}

Result<KeyCopy> parse_key_copy(ByteView bytes, ByteView signer, std::string_view what) {
  ByteReader reader(bytes, what);
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  BAUTA_TRY(const uint16_t version, reader.u16());
  if (as_text(magic) != kMagic || version != kVersion) return corrupt(what);
  BAUTA_TRY(const std::string record, reader.text(kMaxRecord_bytes));
  KeyCopy copy;
  BAUTA_CHECK(read_into(reader, copy.check));
  BAUTA_CHECK(read_into(reader, copy.key.backup_key));
  BAUTA_TRY(const std::string wrapped, reader.text(kMaxWrapped_bytes));
  copy.key.wrapped.assign(wrapped.begin(), wrapped.end());
  const ByteView signed_part = bytes.first(bytes.size() - reader.remaining());
  KeyId signing_key;
  Signature signature;
  BAUTA_CHECK(read_into(reader, signing_key));
  BAUTA_CHECK(read_into(reader, signature));
  BAUTA_CHECK(reader.finish());
  const Status valid = verify_signature(signer, kWrappedKeyPurpose, signed_part, signature);
  if (!valid.ok() && valid.error().code == ErrorCode::corrupt)
    return make_error(ErrorCode::corrupt,
                      "{} was changed, or signed by the key {} instead of the one given", what,
                      to_hex(signing_key));
  if (!valid.ok()) return valid.error();
  const std::optional<KeyRecord> parsed = parse_record(record);
  if (!parsed) return corrupt(what);
  copy.record = *parsed;
  return copy;
}

fs::path copy_path(const fs::path& directory, const KeyId& id) {
  return directory / (to_hex(id) + std::string(kExtension));
}

bool is_copy_path(const fs::path& path) {
  return path.extension() == kExtension;
}

Status remove_copies(const KeyRecord& record) {
  for (const std::string& directory : record.copies) {
    std::error_code reason;
    const bool reachable = fs::is_directory(directory, reason);
    const fs::path path = copy_path(directory, record.id);
    if (!reachable || (unlink(path.c_str()) != 0 && errno != ENOENT))
      return make_error(ErrorCode::unavailable,
                        "the wrapped copy {} of key {} of tenant '{}' cannot be removed; make its "
                        "directory reachable and destroy the key again",
                        path.string(), record.generation, record.tenant);
  }
  return {};
}

}  // namespace bauta::keys
