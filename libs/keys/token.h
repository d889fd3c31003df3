// A PKCS#11 token that holds the keys: SoftHSM2 by default, any hardware module by its path.
//
// A key is a 256-bit object that is made inside the token and never leaves it in the clear. All
// it does is answer derive(): a secret of 32 bytes per purpose and edge (docs/formats/
// key-derivation.md), from which the caller expands what it needs.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "keys/pin.h"
#include "keys/signature.h"

namespace bauta::keys {

// The object's CKA_ID: 16 random bytes. Public; stands in every object made under the key.
using KeyId = std::array<uint8_t, 16>;

inline constexpr size_t kDerivedSize_bytes = 32;
inline constexpr size_t kMaxPurposeSize_bytes = 64;
inline constexpr size_t kMaxEdgeIdSize_bytes = 255;
inline constexpr size_t kMaxKeyLabelSize_bytes = 128;

struct TokenConfig {
  std::filesystem::path module_path;        // the PKCS#11 module, a shared library
  std::string label;                        // of the token, at most 32 bytes
  PinSource pin;                            // of the token's user
  std::filesystem::path softhsm_directory;  // only for the embedded token; else empty
};

struct TokenKey {
  KeyId id;
  std::string label;
};

// A copy of a key that only the holder of the backup key can open (CKM_RSA_PKCS_OAEP, SHA-1).
struct WrappedKey {
  KeyId backup_key{};  // the first 16 bytes of the SHA-256 of its public key
  Bytes wrapped;
};

class Connection;

// Thread-safe; calls run in parallel on sessions of their own. When the token is removed, or its
// module is restarted, a call fails with `unavailable`, and the first call after its return logs
// in again. After fork() the child must open a Token of its own.
class Token {
 public:
  // Loads the module, finds the token by its label and logs in. Errors, each with a sentence of
  // its own: not_found (no such module or token), refused (PIN wrong, locked or not set), mismatch
  // (the token lacks a mechanism that is needed), unavailable (the module fails).
  static Result<std::unique_ptr<Token>> open(const TokenConfig& config);
  ~Token();
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  // The keys for derive() that the token holds, by label.
  Result<std::vector<TokenKey>> list_keys();

  // Makes a key inside the token: sensitive, for derive() alone, to be wrapped by nothing but a
  // key that the token's security officer has marked as trusted. `label` is for people. Error
  // no_space when the token is full.
  Result<KeyId> create_key(std::string_view label);

  // The secret of 32 bytes of this key for this purpose and edge; `edge_id` is empty for the
  // tenant's own. Error not_found when the token does not hold the key.
  Result<SecretBytes> derive(const KeyId& id, std::string_view purpose,
                             std::string_view edge_id = {});

  // Destroys the key: what was derived from it cannot be derived again. Error not_found when the
  // token does not hold it.
  Status destroy_key(const KeyId& id);

  // Makes a P-256 key pair inside the token, for sign() alone, that cannot leave it in any form: a
  // signature proves that this token made it.
  Result<KeyId> create_signing_key(std::string_view label);
  // Of a signing key: DER SubjectPublicKeyInfo, for verify_signature.
  Result<Bytes> public_key(const KeyId& id);
  // Signs signed_digest(purpose, message); purpose: 1 to 64 bytes. Error not_found when the token
  // does not hold the key.
  Result<Signature> sign(const KeyId& id, std::string_view purpose, ByteView message);

  // For a token that shall be able to take over another's keys: makes an RSA-3072 key pair whose
  // private key can do nothing but unwrap, or finds the one that was made before. Returns its
  // public key (DER SubjectPublicKeyInfo), which the other token must be told to trust
  // (trust_backup_key in keys/backup.h).
  Result<Bytes> create_backup_key();

  // A copy of the key for the token whose backup key this one trusts. Error not_found when it
  // trusts none or does not hold the key.
  Result<WrappedKey> wrap_key(const KeyId& id);

  // Puts a key that another token has wrapped into this one, with its id and as well guarded.
  // Nothing changes when it is there already. Errors: not_found when this token does not hold the
  // backup key; corrupt when the copy cannot be opened.
  Status unwrap_key(const WrappedKey& copy, const KeyId& id, std::string_view label);

 private:
  using MakeObject = std::function<unsigned long(unsigned long session)>;  // CK_RV, CK_SESSION

  // Makes the object unless it is there, and destroys it when the token does not guard it.
  Status make_key(const KeyId& id, std::string_view action, const MakeObject& make);

  explicit Token(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace bauta::keys
