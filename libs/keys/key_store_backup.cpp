// The part of KeyStore that makes and restores wrapped copies of keys.

#include <algorithm>

#include "base/clock.h"
#include "base/file.h"
#include "keys/key_file.h"
#include "keys/wrapped_key.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

// As it is remembered: absolute, so that it can be found again from anywhere.
Result<std::string> remembered(const fs::path& directory) {
  std::error_code reason;
  const std::string path = fs::absolute(directory, reason).lexically_normal().string();
  const bool plain = std::all_of(path.begin(), path.end(), [](char c) { return c >= ' '; });
  if (reason || !plain)
    return make_error(ErrorCode::invalid_argument,
                      "the name of a backup's directory must be of plain ASCII characters");
  return path;
}

bool has_copy_in(const KeyRecord& record, const std::string& directory) {
  return std::find(record.copies.begin(), record.copies.end(), directory) != record.copies.end();
}

// A tenant keeps the active key that it has; an older one that was active when it was copied does
// not become a second.
KeyRecord& add_record(KeyRecord record, std::vector<KeyRecord>& records) {
  const bool another = std::any_of(records.begin(), records.end(), [&](const KeyRecord& other) {
    return other.tenant == record.tenant && other.activated_at_s != 0 &&
           other.deactivated_at_s == 0;
  });
  if (another && record.activated_at_s != 0 && record.deactivated_at_s == 0)
    record.deactivated_at_s = now_s();
  return records.emplace_back(std::move(record));
}

}  // namespace

Result<size_t> KeyStore::back_up(const fs::path& directory) {
  BAUTA_TRY(const std::string path, remembered(directory));
  BAUTA_CHECK(create_directory(path, 0700));
  // Remembered before it is written: a copy that nobody knows of would outlive its key.
  BAUTA_CHECK(update([&](KeyFile& file) -> Status {
    for (KeyRecord& record : file.keys) {
      if (record.destruction_ordered_at_s != 0 || has_copy_in(record, path)) continue;
      const Result<KeyCopy> copy = make_copy(record);  // nothing is remembered if that fails
      if (!copy.ok()) return copy.error();
      record.copies.push_back(path);
    }
    return {};
  }));
  size_t copies = 0;
  BAUTA_CHECK(update([&](KeyFile& file) -> Status {
    for (const KeyRecord& record : file.keys) {
      if (record.destruction_ordered_at_s != 0 || !has_copy_in(record, path)) continue;
      const Status written = write_copy(record, path);
      if (!written.ok()) return written;
      ++copies;
    }
    return {};
  }));
  return copies;
}

Result<KeyCopy> KeyStore::make_copy(const KeyRecord& record) {
  KeyCopy copy{record, {}, {}};
  BAUTA_TRY(const SecretBytes check, token_->derive(record.id, kCheckPurpose));
  std::copy(check.span().begin(), check.span().end(), copy.check.begin());
  BAUTA_TRY(copy.key, token_->wrap_key(record.id));
  return copy;
}

Status KeyStore::write_copy(const KeyRecord& record, const std::string& directory) {
  BAUTA_TRY(const KeyCopy copy, make_copy(record));
  const Bytes serialized = serialize(copy);
  BAUTA_TRY(const SignedBy signature, sign(kWrappedKeyPurpose, serialized));
  return write_file_atomically(copy_path(directory, record.id),
                               with_signature(serialized, signature), 0600);
}

Result<Restoration> KeyStore::restore(const fs::path& directory, ByteView signer) {
  BAUTA_TRY(const std::string path, remembered(directory));
  std::error_code reason;
  std::vector<fs::path> copies;
  for (const auto& entry : fs::directory_iterator(path, reason))
    if (is_copy_path(entry.path())) copies.push_back(entry.path());
  if (reason || copies.empty())
    return make_error(ErrorCode::not_found, "{} holds no wrapped keys", path);
  std::sort(copies.begin(), copies.end());
  Restoration restoration;
  for (const fs::path& copy : copies)
    BAUTA_CHECK(
        update([&](KeyFile& file) { return restore_copy(copy, signer, file, restoration); }));
  return restoration;
}

Status KeyStore::restore_copy(const fs::path& path, ByteView signer, KeyFile& file,
                              Restoration& restoration) {
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxWrappedKey_bytes));
  BAUTA_TRY(KeyCopy copy, parse_key_copy(bytes, signer, path.string()));
  const std::string directory = path.parent_path().string();
  KeyRecord* known = find_record(file.keys, copy.record.id);
  if (known != nullptr && known->destruction_ordered_at_s != 0) {
    ++restoration.destroyed;
    return {};
  }
  const Result<SecretBytes> before = token_->derive(copy.record.id, kCheckPurpose);
  if (!before.ok() && before.error().code != ErrorCode::not_found) return before.error();
  if (!before.ok())
    BAUTA_CHECK(token_->unwrap_key(copy.key, copy.record.id, label_of(copy.record)));
  BAUTA_TRY(const SecretBytes after, token_->derive(copy.record.id, kCheckPurpose));
  if (!equal_constant_time(after.span(), copy.check)) {
    if (!before.ok()) BAUTA_CHECK(token_->destroy_key(copy.record.id));
    return make_error(ErrorCode::mismatch,
                      "{} does not hold the key {} that it names; another backup is needed",
                      path.string(), to_hex(copy.record.id));
  }
  if (before.ok())
    ++restoration.present;
  else
    restoration.restored.push_back(copy.record.id);
  if (known == nullptr) known = &add_record(copy.record, file.keys);
  if (!has_copy_in(*known, directory)) known->copies.push_back(directory);
  return {};
}

Status KeyStore::forget_copies(const fs::path& directory) {
  BAUTA_TRY(const std::string path, remembered(directory));
  return update([&](KeyFile& file) -> Status {
    for (KeyRecord& record : file.keys) std::erase(record.copies, path);
    return {};
  });
}

}  // namespace bauta::keys
