#include "services/key/public_keys.h"

#include <algorithm>

#include "base/digest.h"
#include "base/file.h"

namespace bauta::key {

namespace fs = std::filesystem;

namespace {

// 100 MB at the largest dimension.
constexpr size_t kMaxFile_bytes = size_t{256} << 20;

// Error corrupt for anything but what put() wrote for this key and dimension.
Result<v1::EvaluationKeys> parse(ByteView bytes, const keys::KeyId& key_id, size_t dimension) {
  ByteReader reader(bytes, "file of public keys");
  BAUTA_TRY(const ByteView digest, reader.raw(sizeof(Digest)));
  BAUTA_TRY(const ByteView of, reader.raw(key_id.size()));
  BAUTA_TRY(const uint32_t of_dimension, reader.u32());
  if (!std::ranges::equal(digest, sha256(bytes.subspan(sizeof(Digest)))) ||
      !std::ranges::equal(of, key_id) || of_dimension != dimension)
    return make_error(ErrorCode::corrupt, "a file of public keys is damaged");
  v1::EvaluationKeys keys;
  for (std::string* const part : {keys.mutable_galois_keys(), keys.mutable_relinearization_key()}) {
    BAUTA_TRY(const uint32_t size_bytes, reader.u32());
    BAUTA_TRY(const ByteView read, reader.raw(size_bytes));
    *part = as_text(read);
  }
  BAUTA_CHECK(reader.finish());
  return keys;
}

}  // namespace

Result<PublicKeys> PublicKeys::open(const fs::path& directory) {
  BAUTA_CHECK(create_directory(directory / "public", 0700));
  return PublicKeys(directory / "public");
}

fs::path PublicKeys::file(const keys::KeyId& key_id, size_t dimension) const {
  return directory_ / fmt::format("{}.{}", to_hex(key_id), dimension);
}

Result<v1::EvaluationKeys> PublicKeys::find(const keys::KeyId& key_id, size_t dimension) const {
  BAUTA_TRY(const Bytes bytes, read_file(file(key_id, dimension), kMaxFile_bytes));
  Result<v1::EvaluationKeys> keys = parse(bytes, key_id, dimension);
  if (!keys.ok())
    return make_error(ErrorCode::not_found, "{}: {}", file(key_id, dimension).string(),
                      keys.error().message);
  return keys;
}

Status PublicKeys::put(const keys::KeyId& key_id, size_t dimension,
                       const v1::EvaluationKeys& keys) const {
  ByteWriter rest;
  rest.raw(key_id);
  rest.u32(static_cast<uint32_t>(dimension));
  rest.text(keys.galois_keys());
  rest.text(keys.relinearization_key());
  BAUTA_ASSERT(rest.bytes().size() + sizeof(Digest) <= kMaxFile_bytes);
  ByteWriter whole;
  whole.raw(sha256(rest.bytes()));
  whole.raw(rest.bytes());
  return write_file_atomically(file(key_id, dimension), whole.bytes(), 0600);
}

Status PublicKeys::remove(const keys::KeyId& key_id) const {
  const std::string prefix = to_hex(key_id) + ".";
  std::error_code failed;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory_, failed))
    if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
  for (const fs::path& path : found)
    if (!failed) fs::remove(path, failed);
  if (failed)
    return make_error(ErrorCode::unavailable, "cannot change {}: {}", directory_.string(),
                      failed.message());
  return sync_directory(directory_);
}

}  // namespace bauta::key
