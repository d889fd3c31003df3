#include "keys/key_store.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>

#include <fmt/chrono.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "keys/key_file.h"
#include "keys/wrapped_key.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFileSize_bytes = 64 << 20;
constexpr int64_t kLockWait_ms = 10'000;
constexpr int64_t kSettled_s = 2;
constexpr std::string_view kSigningLabel = "bauta signing";

std::string date(int64_t time_s) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(time_s)));
}

// Nothing for a key that is not ours.
std::optional<KeyRecord> record_from_label(const TokenKey& key) {
  const std::string_view label = key.label;
  const size_t slash = label.rfind('/');
  if (!label.starts_with(kLabelPrefix) || slash < kLabelPrefix.size()) return std::nullopt;
  KeyRecord record;
  record.id = key.id;
  record.tenant = label.substr(kLabelPrefix.size(), slash - kLabelPrefix.size());
  const char* end = label.data() + label.size();
  const auto [parsed, reason] = std::from_chars(label.data() + slash + 1, end, record.generation);
  if (reason != std::errc() || parsed != end || record.generation == 0 ||
      !is_tenant_name(record.tenant))
    return std::nullopt;
  return record;
}

Error unknown_key(const KeyId& id) {
  return make_error(ErrorCode::not_found, "there is no key {}; 'bauta keys status' lists them",
                    to_hex(id));
}

std::string name_of(const KeyRecord& record) {
  return fmt::format("key {} of tenant '{}'", record.generation, record.tenant);
}

// Error when the key may not be used.
Status check_usable(const KeyRecord& record) {
  if (record.destroyed_at_s != 0)
    return make_error(ErrorCode::refused,
                      "{} was destroyed on {}; nothing made under it can be opened again",
                      name_of(record), date(record.destroyed_at_s));
  if (record.destruction_ordered_at_s != 0)
    return make_error(ErrorCode::refused, "{} is being destroyed since {}", name_of(record),
                      date(record.destruction_ordered_at_s));
  if (record.suspended_at_s != 0)
    return make_error(ErrorCode::refused, "{} is suspended since {}; resume it to use it",
                      name_of(record), date(record.suspended_at_s));
  return {};
}

Status check_not_destroyed(const KeyRecord& record) {
  return record.destruction_ordered_at_s == 0 ? Status{} : check_usable(record);
}

void mark_destroyed(KeyRecord& record) {
  if (record.destroyed_at_s == 0) record.destroyed_at_s = now_s();
  record.copies.clear();
}

}  // namespace

const char* key_state_name(KeyState state) {
  switch (state) {
    case KeyState::created:
      return "created";
    case KeyState::active:
      return "active";
    case KeyState::deactivated:
      return "deactivated";
    case KeyState::suspended:
      return "suspended";
    case KeyState::destroying:
      return "destroying";
    case KeyState::destroyed:
      return "destroyed";
  }
  return "destroyed";
}

KeyState KeyRecord::state() const {
  if (destroyed_at_s != 0) return KeyState::destroyed;
  if (destruction_ordered_at_s != 0) return KeyState::destroying;
  if (suspended_at_s != 0) return KeyState::suspended;
  if (deactivated_at_s != 0) return KeyState::deactivated;
  return activated_at_s != 0 ? KeyState::active : KeyState::created;
}

int64_t KeyRecord::in_state_since_s() const {
  switch (state()) {
    case KeyState::created:
      return created_at_s;
    case KeyState::active:
      return activated_at_s;
    case KeyState::deactivated:
      return deactivated_at_s;
    case KeyState::suspended:
      return suspended_at_s;
    case KeyState::destroying:
      return destruction_ordered_at_s;
    case KeyState::destroyed:
      return destroyed_at_s;
  }
  return 0;
}

Result<std::shared_ptr<const KeyFile>> KeyStore::read() {
  const fs::path path = directory_ / "keys.json";
  struct stat status {};
  Version version{};  // of a file that is absent
  if (stat(path.c_str(), &status) == 0)
    version = {static_cast<int64_t>(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
               status.st_size};
  std::lock_guard lock(reading_);
  if (file_ != nullptr && version == version_) return file_;
  const Result<Bytes> bytes = read_file(path, kMaxFileSize_bytes);
  if (!bytes.ok() && bytes.error().code != ErrorCode::not_found) return bytes.error();
  KeyFile file;
  if (bytes.ok()) {
    BAUTA_TRY(file, parse_key_file(*bytes, path));
  }
  file_ = std::make_shared<const KeyFile>(std::move(file));
  // A file so new may be replaced by one with the same inode and time, which are never so old.
  const bool settled = status.st_mtim.tv_sec + kSettled_s < now_s();
  version_ = settled ? version : Version{-1};
  return file_;
}

Status KeyStore::update(const std::function<Status(KeyFile&)>& change) {
  std::lock_guard thread_lock(changing_);
  BAUTA_TRY(const FileLock process_lock, FileLock::acquire(directory_ / "keys.lock", kLockWait_ms));
  BAUTA_TRY(const auto current, read());
  KeyFile file = *current;
  BAUTA_CHECK(change(file));
  return write_file_atomically(directory_ / "keys.json", as_bytes(serialize(file)), 0600);
}

Result<std::unique_ptr<KeyStore>> KeyStore::open(std::unique_ptr<Token> token,
                                                 const fs::path& directory) {
  BAUTA_CHECK(create_directory(directory, 0700));
  std::unique_ptr<KeyStore> store(new KeyStore(std::move(token), directory));
  BAUTA_CHECK(store->update([&](KeyFile& file) { return store->reconcile(file.keys); }));
  return store;
}

Status KeyStore::reconcile(std::vector<KeyRecord>& records) {
  BAUTA_TRY(const std::vector<TokenKey> keys, token_->list_keys());
  for (const TokenKey& key : keys) {
    const KeyRecord* known = find_record(records, key.id);
    std::optional<KeyRecord> labelled = record_from_label(key);
    bool destroy = known != nullptr && known->destruction_ordered_at_s != 0;
    if (known == nullptr && labelled) {
      const auto usable = token_->derive(key.id, kCheckPurpose);
      if (!usable.ok() && usable.error().code != ErrorCode::corrupt) return usable.error();
      destroy = !usable.ok();  // its making was interrupted, so nobody has ever used it
      labelled->created_at_s = now_s();
      if (usable.ok()) records.push_back(std::move(*labelled));
    }
    if (destroy) BAUTA_CHECK(token_->destroy_key(key.id));
  }
  for (KeyRecord& record : records)
    // A copy that cannot be reached now must not keep the others from starting.
    if (record.state() == KeyState::destroying && remove_copies(record).ok())
      mark_destroyed(record);
  return {};
}

Result<KeyRecord> KeyStore::create(std::string_view tenant, bool evaluation, KeyUse use) {
  if (!is_tenant_name(tenant))
    return make_error(ErrorCode::invalid_argument,
                      "a tenant is named by 1 to {} letters, digits, '-', '_' and '.'",
                      kMaxTenantSize_bytes);
  KeyRecord record;
  record.tenant = tenant;
  record.evaluation = evaluation;
  record.candidates = use.candidates;
  record.decision_budget = use.decision_budget;
  bool made = false;
  const Status status = update([&](KeyFile& file) -> Status {
    for (const KeyRecord& other : file.keys)
      if (other.tenant == tenant) record.generation = std::max(record.generation, other.generation);
    ++record.generation;
    BAUTA_TRY(record.id, token_->create_key(label_of(record)));
    made = true;
    record.created_at_s = now_s();
    file.keys.push_back(record);
    return {};
  });
  if (status.ok()) return record;
  if (made) (void)token_->destroy_key(record.id);  // else the next open() would find it
  return status.error();
}

Status KeyStore::change_state(const KeyId& id,
                              Status (*change)(std::vector<KeyRecord>&, KeyRecord&)) {
  return update([&](KeyFile& file) -> Status {
    KeyRecord* record = find_record(file.keys, id);
    if (record == nullptr) return unknown_key(id);
    return change(file.keys, *record);
  });
}

Status KeyStore::activate(const KeyId& id) {
  return change_state(id, [](std::vector<KeyRecord>& records, KeyRecord& record) -> Status {
    BAUTA_CHECK(check_usable(record));
    if (record.state() == KeyState::active) return {};
    if (record.state() == KeyState::deactivated)
      return make_error(ErrorCode::refused,
                        "{} was superseded on {} and cannot become active again; rotate to a new "
                        "key",
                        name_of(record), date(record.deactivated_at_s));
    const int64_t now = now_s();
    for (KeyRecord& other : records)
      if (other.tenant == record.tenant && other.activated_at_s != 0 && other.deactivated_at_s == 0)
        other.deactivated_at_s = now;
    record.activated_at_s = now;
    return {};
  });
}

Status KeyStore::suspend(const KeyId& id) {
  return change_state(id, [](std::vector<KeyRecord>&, KeyRecord& record) -> Status {
    BAUTA_CHECK(check_not_destroyed(record));
    if (record.suspended_at_s == 0) record.suspended_at_s = now_s();
    return {};
  });
}

Status KeyStore::resume(const KeyId& id) {
  return change_state(id, [](std::vector<KeyRecord>&, KeyRecord& record) -> Status {
    BAUTA_CHECK(check_not_destroyed(record));
    record.suspended_at_s = 0;
    return {};
  });
}

Status KeyStore::destroy(const KeyId& id) {
  // The order first: from here on nobody uses the key, whatever becomes of this process.
  BAUTA_CHECK(change_state(id, [](std::vector<KeyRecord>&, KeyRecord& record) -> Status {
    if (record.destruction_ordered_at_s == 0) record.destruction_ordered_at_s = now_s();
    return {};
  }));
  const Status gone = token_->destroy_key(id);
  if (!gone.ok() && gone.error().code != ErrorCode::not_found) return gone;
  return change_state(id, [](std::vector<KeyRecord>&, KeyRecord& record) -> Status {
    BAUTA_CHECK(remove_copies(record));
    mark_destroyed(record);
    return {};
  });
}

Result<std::vector<KeyRecord>> KeyStore::list() {
  BAUTA_TRY(const auto current, read());
  std::vector<KeyRecord> records = current->keys;
  std::sort(records.begin(), records.end(), [](const KeyRecord& a, const KeyRecord& b) {
    return std::tie(a.tenant, a.generation, a.id) < std::tie(b.tenant, b.generation, b.id);
  });
  return records;
}

Result<KeyRecord> KeyStore::find(const KeyId& id) {
  BAUTA_TRY(const auto file, read());
  const KeyRecord* record = find_record(file->keys, id);
  if (record == nullptr) return unknown_key(id);
  return *record;
}

Result<KeyRecord> KeyStore::active(std::string_view tenant) {
  BAUTA_TRY(const auto file, read());
  for (const KeyRecord& record : file->keys) {
    if (record.tenant != tenant || record.activated_at_s == 0 || record.deactivated_at_s != 0)
      continue;
    BAUTA_CHECK(check_usable(record));
    return record;
  }
  return make_error(ErrorCode::not_found,
                    "tenant '{}' has no active key; make one with "
                    "'bauta keys init'",
                    tenant);
}

Result<SecretBytes> KeyStore::derive(const KeyId& id, std::string_view purpose,
                                     std::string_view edge_id) {
  BAUTA_TRY(const KeyRecord record, find(id));
  BAUTA_CHECK(check_usable(record));
  return token_->derive(id, purpose, edge_id);
}

Result<SigningKey> KeyStore::create_signing_key() {
  SigningKey key;
  BAUTA_CHECK(update([&](KeyFile& file) -> Status {
    BAUTA_TRY(key.id, token_->create_signing_key(kSigningLabel));
    BAUTA_TRY(key.public_key, token_->public_key(key.id));
    key.created_at_s = now_s();
    file.signing_keys.push_back(key);
    return {};
  }));
  return key;
}

Result<std::vector<SigningKey>> KeyStore::signing_keys() {
  BAUTA_TRY(const auto file, read());
  return file->signing_keys;
}

Result<SignedBy> KeyStore::sign(std::string_view purpose, ByteView message) {
  BAUTA_TRY(const auto file, read());
  if (file->signing_keys.empty())
    return make_error(ErrorCode::not_found,
                      "there is no key to sign with; make one with 'bauta keys init'");
  const KeyId& id = file->signing_keys.back().id;
  BAUTA_TRY(const Signature signature, token_->sign(id, purpose, message));
  return SignedBy{id, signature};
}

}  // namespace bauta::keys
