// The keys of every tenant, generation by generation, with their states and dates.
//
// The token is the truth about which keys exist; the file keys.json in the key service's own
// directory adds states and dates (docs/formats/key-file.md). Keys of the token that the file does
// not know enter it as `created`, under the tenant and generation that their label names.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "keys/token.h"

namespace bauta::keys {

// Persistent by name, in JSON output. A record's dates determine its state.
enum class KeyState {
  created,      // made, not yet used for new ciphertexts
  active,       // the one key of its tenant that new ciphertexts are made under
  deactivated,  // superseded: opens what was made under it, until the gallery is renewed
  suspended,    // refused until it is resumed
  destroying,   // refused for ever, but the token has not confirmed that it is gone
  destroyed,    // gone from the token; nothing made under it can be opened again
};
const char* key_state_name(KeyState state);

struct KeyRecord {
  KeyId id{};
  std::string tenant;
  uint32_t generation = 0;  // 1, 2, ... within the tenant
  bool evaluation = false;  // decisions under it may carry rounded scores: to measure with, not
                            // for people
  uint32_t candidates = 1;  // positions that a decision under it may name
  uint64_t decision_budget = 0;  // decisions that it may make; 0: as the key service's policy says
  // Seconds since 1970 UTC; 0 = it has not happened.
  int64_t created_at_s = 0;
  int64_t activated_at_s = 0;
  int64_t deactivated_at_s = 0;
  int64_t suspended_at_s = 0;
  int64_t destruction_ordered_at_s = 0;
  int64_t destroyed_at_s = 0;

  std::vector<std::string> copies;  // the directories that hold a wrapped copy of it

  KeyState state() const;
  // When it came into that state.
  int64_t in_state_since_s() const;
};

// What the key service signs with, e.g. the head of the audit log.
struct SigningKey {
  KeyId id{};
  Bytes public_key;  // DER SubjectPublicKeyInfo, for verify_signature
  int64_t created_at_s = 0;
};

struct SignedBy {
  KeyId key{};
  Signature signature{};
};

struct Restoration {
  std::vector<KeyId> restored;
  size_t present = 0;    // in the token already
  size_t destroyed = 0;  // known to be destroyed, and left so
};

// What decisions under a key may be; the fields of KeyRecord.
struct KeyUse {
  uint32_t candidates = 1;
  uint64_t decision_budget = 0;
};

struct KeyCopy;
struct KeyFile;

// Thread-safe, and safe between processes that share the directory and the token: a change that
// one makes is seen by the next call of the other.
class KeyStore {
 public:
  // Makes the directory (mode 0700) if it is absent, and completes what a crash interrupted: the
  // destruction of keys, and the record of a key just made. Errors: those of the token and of the
  // directory; corrupt when keys.json cannot be understood.
  static Result<std::unique_ptr<KeyStore>> open(std::unique_ptr<Token> token,
                                                const std::filesystem::path& directory);

  // Makes the next generation of the tenant's key, in state `created`. A tenant is named by 1 to
  // 64 letters, digits, '-', '_' and '.'.
  Result<KeyRecord> create(std::string_view tenant, bool evaluation = false, KeyUse use = {});

  // Makes it the tenant's active key; the one before becomes `deactivated` in the same write.
  // Activating the active key changes nothing. Error refused unless it is `created`.
  Status activate(const KeyId& id);

  // Refuses every use until resume(), which restores the state before.
  Status suspend(const KeyId& id);
  Status resume(const KeyId& id);

  // Destroys the key in the token and its wrapped copies, for ever. When the token or a copy cannot
  // be reached, the key is refused from now on, and its destruction is completed by the next
  // open() or destroy(). Destroying a destroyed key changes nothing.
  Status destroy(const KeyId& id);

  // Every key that was ever created, by tenant and generation.
  Result<std::vector<KeyRecord>> list();
  Result<KeyRecord> find(const KeyId& id);

  // The tenant's active key. Errors: not_found when none was ever active; refused, with the date,
  // when it is suspended or destroyed.
  Result<KeyRecord> active(std::string_view tenant);

  // Token::derive, for a key that is neither suspended nor destroyed.
  Result<SecretBytes> derive(const KeyId& id, std::string_view purpose,
                             std::string_view edge_id = {});

  // Makes a key in the token that sign() uses from now on. Earlier ones stay listed, so that what
  // they signed can be checked.
  Result<SigningKey> create_signing_key();
  // Oldest first. The public keys are kept here, so that they outlast the token.
  Result<std::vector<SigningKey>> signing_keys();
  // Token::sign with the newest. Error not_found when there is none, or the token lacks it.
  Result<SignedBy> sign(std::string_view purpose, ByteView message);

  // Writes a wrapped and signed copy of every key that is not destroyed into the directory
  // (docs/formats/wrapped-key.md), for the token whose backup key this store's token trusts.
  // destroy() removes the copies again, for which the directory must be where it was. Returns how
  // many. Errors: not_found without a trusted backup key or a signing key; those of the directory.
  Result<size_t> back_up(const std::filesystem::path& directory);

  // Takes over the keys of a backup, with their states, into this store and its token, which must
  // hold the backup key. Only what `signer` (a SigningKey's public key) has signed is accepted.
  // Error corrupt, naming the file, when a copy was changed; what was restored before remains.
  Result<Restoration> restore(const std::filesystem::path& directory, ByteView signer);

  // The copies in the directory are no more, or out of reach for ever: destroy() no longer waits
  // for them.
  Status forget_copies(const std::filesystem::path& directory);

 private:
  KeyStore(std::unique_ptr<Token> token, std::filesystem::path directory)
      : token_(std::move(token)), directory_(std::move(directory)) {}

  // Reads the file, lets change(file) -> Status work on what it says, and writes it back when
  // that succeeds; no other thread or process changes it meanwhile.
  Status update(const std::function<Status(KeyFile&)>& change);
  Result<KeyCopy> make_copy(const KeyRecord& record);
  Status write_copy(const KeyRecord& record, const std::string& directory);
  Status restore_copy(const std::filesystem::path& path, ByteView signer, KeyFile& file,
                      Restoration& restoration);
  Status change_state(const KeyId& id, Status (*change)(std::vector<KeyRecord>&, KeyRecord&));
  Status reconcile(std::vector<KeyRecord>& records);
  // What the file says now; parsed anew only when it has been replaced.
  Result<std::shared_ptr<const KeyFile>> read();

  // Tells one version of the file from every other.
  using Version = std::array<int64_t, 4>;

  std::unique_ptr<Token> token_;
  std::filesystem::path directory_;
  std::mutex changing_;
  std::mutex reading_;  // guards the two below
  Version version_{};
  std::shared_ptr<const KeyFile> file_;
};

}  // namespace bauta::keys
