#include "keys/backup.h"

#include <algorithm>
#include <optional>

#include "base/digest.h"
#include "keys/connection.h"
#include "keys/rsa_public_key.h"

namespace bauta::keys {
namespace {

constexpr Kind kPublicKey{CKO_PUBLIC_KEY, CKK_RSA};
constexpr Kind kPrivateKey{CKO_PRIVATE_KEY, CKK_RSA};
constexpr std::string_view kOwnLabel = "bauta backup key";              // of the unwrapping token
constexpr std::string_view kTrustedLabel = "bauta trusted backup key";  // of the wrapping one
constexpr CK_ULONG kModulus_bits = kMinRsaModulus_bits;
constexpr uint8_t kExponent[] = {1, 0, 1};
constexpr size_t kMaxModulus_bytes = kMaxRsaModulus_bits / 8;

// SHA-1 is what SoftHSM2 offers; OAEP does not need its hash to resist collisions.
CK_RSA_PKCS_OAEP_PARAMS oaep_parameters{CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, nullptr, 0};
CK_MECHANISM oaep() {
  return {CKM_RSA_PKCS_OAEP, &oaep_parameters, sizeof oaep_parameters};
}

KeyId backup_key_id(ByteView public_key) {
  const Digest digest = sha256(public_key);
  KeyId id;
  std::copy_n(digest.begin(), id.size(), id.begin());
  return id;
}

// Empty when the object has no such attribute, as a key pair whose making was interrupted.
CK_RV read_bytes(const Module& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                 CK_ATTRIBUTE_TYPE type, Bytes& value) {
  value.resize(kMaxModulus_bytes);
  CK_ATTRIBUTE wanted{type, value.data(), value.size()};
  const CK_RV result = module->C_GetAttributeValue(session, object, &wanted, 1);
  value.resize(result == CKR_OK ? wanted.ulValueLen : 0);
  return result == CKR_ATTRIBUTE_TYPE_INVALID || result == CKR_BUFFER_TOO_SMALL ? CKR_OK : result;
}

// As the security officer, on a session of the module's only token of that label.
Status replace_trusted_key(const Module& module, CK_SESSION_HANDLE session, const RsaPublicKey& key,
                           std::string_view label) {
  CK_ATTRIBUTE wanted[] = {attribute(CKA_CLASS, kPublicKey.object_class),
                           attribute(CKA_KEY_TYPE, kPublicKey.key_type),
                           attribute(CKA_LABEL, kTrustedLabel),
                           attribute(CKA_TOKEN, kTrue),
                           attribute(CKA_PRIVATE, kFalse),
                           attribute(CKA_TRUSTED, kTrue),
                           attribute(CKA_WRAP, kTrue),
                           attribute(CKA_ENCRYPT, kFalse),
                           attribute(CKA_VERIFY, kFalse),
                           attribute(CKA_MODULUS, ByteView(key.modulus)),
                           attribute(CKA_PUBLIC_EXPONENT, ByteView(key.exponent))};
  // The old ones first: at no moment are there two.
  CK_OBJECT_HANDLE old[16];
  CK_ULONG count = 0;
  CK_RV result = module->C_FindObjectsInit(session, wanted, 3);
  if (result == CKR_OK) result = module->C_FindObjects(session, old, std::size(old), &count);
  if (result == CKR_OK) result = module->C_FindObjectsFinal(session);
  for (CK_ULONG i = 0; result == CKR_OK && i < count; ++i)
    result = module->C_DestroyObject(session, old[i]);
  CK_OBJECT_HANDLE made = 0;
  if (result == CKR_OK) result = module->C_CreateObject(session, wanted, std::size(wanted), &made);
  if (result != CKR_OK) return token_error(result, "trust a backup key", label);
  return {};
}

}  // namespace

Result<Bytes> Token::create_backup_key() {
  RsaPublicKey key{{}, {std::begin(kExponent), std::end(kExponent)}};
  BAUTA_CHECK(connection_->run("make a backup key", [&](CK_SESSION_HANDLE session) -> CK_RV {
    const Module& module = connection_->module();
    std::vector<CK_OBJECT_HANDLE> halves;
    CK_RV result =
        connection_->search(session, kPrivateKey, {attribute(CKA_LABEL, kOwnLabel)}, halves);
    if (result != CKR_OK) return result;
    for (const CK_OBJECT_HANDLE half : halves) {
      result = read_bytes(module, session, half, CKA_MODULUS, key.modulus);
      if (result != CKR_OK || !key.modulus.empty()) return result;
    }
    CK_ATTRIBUTE public_part[] = {attribute(CKA_MODULUS_BITS, kModulus_bits),
                                  attribute(CKA_PUBLIC_EXPONENT, kExponent),
                                  attribute(CKA_LABEL, kOwnLabel),
                                  attribute(CKA_TOKEN, kTrue),
                                  attribute(CKA_PRIVATE, kFalse),
                                  attribute(CKA_ENCRYPT, kFalse),
                                  attribute(CKA_VERIFY, kFalse),
                                  attribute(CKA_WRAP, kTrue)};
    CK_ATTRIBUTE private_part[] = {
        attribute(CKA_LABEL, kOwnLabel),    attribute(CKA_TOKEN, kTrue),
        attribute(CKA_PRIVATE, kTrue),      attribute(CKA_SENSITIVE, kTrue),
        attribute(CKA_EXTRACTABLE, kFalse), attribute(CKA_DECRYPT, kFalse),
        attribute(CKA_SIGN, kFalse),        attribute(CKA_UNWRAP, kTrue)};
    CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE made_public = 0, made_private = 0;
    result = module->C_GenerateKeyPair(session, &mechanism, public_part, std::size(public_part),
                                       private_part, std::size(private_part), &made_public,
                                       &made_private);
    if (result != CKR_OK) return result;
    return read_bytes(module, session, made_private, CKA_MODULUS, key.modulus);
  }));
  BAUTA_CHECK(connection_->sync());
  return serialize(key);
}

Result<WrappedKey> Token::wrap_key(const KeyId& id) {
  WrappedKey copy;
  RsaPublicKey backup_key;
  bool trusted = false, found = false;
  BAUTA_CHECK(connection_->run("wrap a key", [&](CK_SESSION_HANDLE session) -> CK_RV {
    const Module& module = connection_->module();
    std::vector<CK_OBJECT_HANDLE> wrapping;
    CK_RV result = connection_->search(
        session, kPublicKey, {attribute(CKA_LABEL, kTrustedLabel), attribute(CKA_TRUSTED, kTrue)},
        wrapping);
    trusted = !wrapping.empty();
    if (result != CKR_OK || !trusted) return result;
    result = read_bytes(module, session, wrapping.front(), CKA_MODULUS, backup_key.modulus);
    if (result == CKR_OK)
      result =
          read_bytes(module, session, wrapping.front(), CKA_PUBLIC_EXPONENT, backup_key.exponent);
    if (result != CKR_OK) return result;
    return connection_->with_key(session, kDerivationKey, id, found, [&](CK_OBJECT_HANDLE key) {
      CK_MECHANISM mechanism = oaep();
      copy.wrapped.resize(kMaxModulus_bytes);
      CK_ULONG size_bytes = copy.wrapped.size();
      const CK_RV wrapped = module->C_WrapKey(session, &mechanism, wrapping.front(), key,
                                              copy.wrapped.data(), &size_bytes);
      copy.wrapped.resize(wrapped == CKR_OK ? size_bytes : 0);
      return wrapped;
    });
  }));
  if (!trusted)
    return make_error(ErrorCode::not_found,
                      "the token '{}' trusts no backup key; have its security officer trust the "
                      "one of the token that takes the backup",
                      connection_->label());
  if (!found)
    return make_error(ErrorCode::not_found, "the token '{}' does not hold the key {}",
                      connection_->label(), to_hex(id));
  BAUTA_TRY(const Bytes public_key, serialize(backup_key));
  copy.backup_key = backup_key_id(public_key);
  return copy;
}

Status Token::unwrap_key(const WrappedKey& copy, const KeyId& id, std::string_view label) {
  std::vector<CK_ATTRIBUTE> wanted = derivation_key_attributes(id, label);
  return make_key(id, "unwrap a key", [&](CK_SESSION_HANDLE session) -> CK_RV {
    const Module& module = connection_->module();
    std::vector<CK_OBJECT_HANDLE> halves;
    CK_RV result =
        connection_->search(session, kPrivateKey, {attribute(CKA_LABEL, kOwnLabel)}, halves);
    for (size_t i = 0; result == CKR_OK && i < halves.size(); ++i) {
      RsaPublicKey key{{}, {std::begin(kExponent), std::end(kExponent)}};
      result = read_bytes(module, session, halves[i], CKA_MODULUS, key.modulus);
      const Result<Bytes> public_key = serialize(key);
      if (result != CKR_OK || !public_key.ok() || backup_key_id(*public_key) != copy.backup_key)
        continue;
      CK_MECHANISM mechanism = oaep();
      CK_OBJECT_HANDLE made = 0;
      return module->C_UnwrapKey(session, &mechanism, halves[i],
                                 const_cast<uint8_t*>(copy.wrapped.data()), copy.wrapped.size(),
                                 wanted.data(), wanted.size(), &made);
    }
    return result == CKR_OK ? CKR_UNWRAPPING_KEY_HANDLE_INVALID : result;
  });
}

Status trust_backup_key(const TokenConfig& config, const PinSource& officer_pin,
                        ByteView public_key) {
  BAUTA_TRY(const RsaPublicKey key, parse_rsa_public_key(public_key));
  BAUTA_TRY(const auto module, Module::load(config.module_path));
  BAUTA_TRY(SecretBytes pin, officer_pin.read());
  std::optional<FileLock> lock;
  const bool embedded = !config.softhsm_directory.empty();
  if (embedded) {
    BAUTA_CHECK(select_softhsm_directory(config.softhsm_directory));
    BAUTA_TRY(lock, lock_softhsm_directory(config.softhsm_directory));
  }
  CK_RV result = module->initialise();
  if (result != CKR_OK) return token_error(result, "start its module", config.label);
  BAUTA_TRY(const Slot slot, find_token(*module, config.label));
  CK_SESSION_HANDLE session = 0;
  result = (*module)->C_OpenSession(slot.id, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr,
                                    &session);
  if (result == CKR_OK) result = (*module)->C_Login(session, CKU_SO, pin.data(), pin.size());
  if (result != CKR_OK) return token_error(result, "log in as its security officer", config.label);
  BAUTA_CHECK(replace_trusted_key(*module, session, key, config.label));
  return embedded ? sync_softhsm_directory(config.softhsm_directory) : Status{};
}

}  // namespace bauta::keys
