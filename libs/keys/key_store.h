// The keys of every tenant, generation by generation, with their states and dates.
//
// The token is the truth about which keys exist; the file keys.json in the key service's own
// directory adds the states. A key found in the token alone is listed as `created` under the
// tenant its label names; a key found in the file alone is `missing`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "keys/token.h"

namespace bauta::keys {

// Persistent by name, in keys.json and JSON output.
enum class KeyState {
  created,      // made, not yet used for new ciphertexts
  active,       // the one key of its tenant that new ciphertexts are made under
  deactivated,  // superseded: opens what was made under it, until the gallery is renewed
  suspended,    // refused until it is resumed
  destroyed,    // gone from the token; nothing made under it can be opened again
  missing,      // should be in the token but is not: wrong token, or removed behind our back
};
const char* key_state_name(KeyState state);

// Times are seconds since 1970 UTC; 0 = not happened.
struct KeyRecord {
  KeyId id{};
  std::string tenant;
  uint32_t generation = 0;  // 1, 2, ... within the tenant
  KeyState state = KeyState::created;
  int64_t created_at_s = 0;
  int64_t activated_at_s = 0;
  int64_t deactivated_at_s = 0;
  int64_t suspended_at_s = 0;
  int64_t destroyed_at_s = 0;
};

// Thread-safe, and safe between processes that share the directory: a change that one makes is
// seen by the next call of the other.
class KeyStore {
 public:
  // Finishes the destruction of keys that a crash interrupted. Errors: those of the token, of the
  // directory (made with mode 0700 if absent), and corrupt when keys.json cannot be understood.
  static Result<std::unique_ptr<KeyStore>> open(std::unique_ptr<Token> token,
                                                const std::filesystem::path& directory);

  // Makes the next generation of the tenant's key, in state `created`. A tenant is named by 1 to
  // 64 letters, digits, '-', '_' and '.'.
  Result<KeyRecord> create(std::string_view tenant);

  // Makes it the tenant's active key; the one before becomes `deactivated` in the same write.
  // Error refused unless it is `created` (or already active, which changes nothing).
  Status activate(const KeyId& id);

  // Refuses every use until resume(), which restores the state before.
  Status suspend(const KeyId& id);
  Status resume(const KeyId& id);

  // Destroys the key in the token, for ever. Destroying a destroyed key changes nothing.
  Status destroy(const KeyId& id);

  // Every key that was ever created, by tenant and generation.
  Result<std::vector<KeyRecord>> list();
  Result<KeyRecord> find(const KeyId& id);

  // The tenant's active key. Errors: not_found when the tenant has none; refused, with the date,
  // when it is suspended or destroyed.
  Result<KeyRecord> active(std::string_view tenant);

  // Token::derive for a key that is neither suspended nor destroyed.
  Result<SecretBytes> derive(const KeyId& id, std::string_view purpose,
                             std::string_view edge_id = {});

 private:
  KeyStore(std::unique_ptr<Token> token, std::filesystem::path directory)
      : token_(std::move(token)), directory_(std::move(directory)) {}

  std::unique_ptr<Token> token_;
  std::filesystem::path directory_;
  std::mutex mutex_;
};

}  // namespace bauta::keys
