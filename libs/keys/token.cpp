#include "keys/token.h"

#include <algorithm>
#include <optional>

#include "base/random.h"
#include "keys/connection.h"

namespace bauta::keys {
namespace {

constexpr CK_ULONG kKeySize_bytes = 32;

uint8_t* unconst(ByteView bytes) {
  return const_cast<uint8_t*>(bytes.data());
}

Error not_in_token(const KeyId& id, std::string_view label) {
  return make_error(ErrorCode::not_found,
                    "the token '{}' does not hold the key {}; it was destroyed, or this is "
                    "another token",
                    label, to_hex(id));
}

}  // namespace

std::vector<CK_ATTRIBUTE> derivation_key_attributes(const KeyId& id, std::string_view label) {
  return {attribute(CKA_CLASS, kDerivationKey.object_class),
          attribute(CKA_KEY_TYPE, kDerivationKey.key_type),
          attribute(CKA_ID, id),
          attribute(CKA_LABEL, label),
          attribute(CKA_TOKEN, kTrue),
          attribute(CKA_PRIVATE, kTrue),
          attribute(CKA_SENSITIVE, kTrue),
          attribute(CKA_EXTRACTABLE, kTrue),
          attribute(CKA_WRAP_WITH_TRUSTED, kTrue),
          attribute(CKA_SIGN, kTrue),
          attribute(CKA_VERIFY, kFalse),
          attribute(CKA_ENCRYPT, kFalse),
          attribute(CKA_DECRYPT, kFalse),
          attribute(CKA_WRAP, kFalse),
          attribute(CKA_UNWRAP, kFalse),
          attribute(CKA_DERIVE, kFalse),
          attribute(CKA_MODIFIABLE, kFalse)};  // last: SoftHSM2 then takes no more
}

Token::Token(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Token::~Token() = default;

Result<std::unique_ptr<Token>> Token::open(const TokenConfig& config) {
  BAUTA_TRY(auto module, Module::load(config.module_path));
  BAUTA_TRY(SecretBytes pin, config.pin.read());
  auto connection = std::make_unique<Connection>(config, std::move(pin), std::move(module));
  BAUTA_CHECK(connection->connect());
  return std::unique_ptr<Token>(new Token(std::move(connection)));
}

Result<std::vector<TokenKey>> Token::list_keys() {
  std::vector<TokenKey> keys;
  BAUTA_CHECK(connection_->run("list its keys", [&](CK_SESSION_HANDLE session) {
    keys.clear();
    std::vector<CK_OBJECT_HANDLE> objects;
    CK_RV result =
        connection_->search(session, kDerivationKey, {attribute(CKA_SIGN, kTrue)}, objects);
    for (size_t i = 0; result == CKR_OK && i < objects.size(); ++i) {
      std::optional<TokenKey> key;
      result = connection_->read_key(session, objects[i], key);
      if (key) keys.push_back(std::move(*key));
    }
    return result;
  }));
  std::sort(keys.begin(), keys.end(), [](const TokenKey& a, const TokenKey& b) {
    return std::tie(a.label, a.id) < std::tie(b.label, b.id);
  });
  return keys;
}

Result<KeyId> Token::create_key(std::string_view label) {
  if (label.empty() || label.size() > kMaxKeyLabelSize_bytes)
    return make_error(ErrorCode::invalid_argument, "a key's label has {} bytes; give 1 to {}",
                      label.size(), kMaxKeyLabelSize_bytes);
  KeyId id;
  random_bytes(id);
  std::vector<CK_ATTRIBUTE> wanted = derivation_key_attributes(id, label);
  wanted.push_back(attribute(CKA_VALUE_LEN, kKeySize_bytes));
  BAUTA_CHECK(make_key(id, "make a key", [&](CK_SESSION_HANDLE session) {
    CK_MECHANISM mechanism{CKM_GENERIC_SECRET_KEY_GEN, nullptr, 0};
    CK_OBJECT_HANDLE made = 0;
    return connection_->module()->C_GenerateKey(session, &mechanism, wanted.data(), wanted.size(),
                                                &made);
  }));
  return id;
}

Status Token::make_key(const KeyId& id, std::string_view action, const MakeObject& make) {
  bool guarded = false;
  BAUTA_CHECK(connection_->run(action, [&](CK_SESSION_HANDLE session) {
    bool found = false;
    // Is it there already? Then an earlier attempt made it before the connection was lost.
    CK_RV result = connection_->with_key(session, kDerivationKey, id, found,
                                         [](CK_OBJECT_HANDLE) { return CKR_OK; });
    if (result == CKR_OK && !found) result = make(session);
    if (result != CKR_OK) return result;
    return connection_->with_key(session, kDerivationKey, id, found, [&](CK_OBJECT_HANDLE key) {
      CK_BBOOL sensitive = CK_FALSE, trusted_only = CK_FALSE;
      CK_ATTRIBUTE guards[] = {attribute(CKA_SENSITIVE, sensitive),
                               attribute(CKA_WRAP_WITH_TRUSTED, trusted_only)};
      const CK_RV read =
          connection_->module()->C_GetAttributeValue(session, key, guards, std::size(guards));
      guarded = read == CKR_OK && sensitive == CK_TRUE && trusted_only == CK_TRUE;
      return read;
    });
  }));
  if (guarded) return connection_->sync();
  BAUTA_CHECK(destroy_key(id));
  return make_error(ErrorCode::mismatch,
                    "the token '{}' does not keep a key from being read or from being wrapped by "
                    "any key at all; use another token",
                    connection_->label());
}

Result<SecretBytes> Token::derive(const KeyId& id, std::string_view purpose,
                                  std::string_view edge_id) {
  if (purpose.empty() || purpose.size() > kMaxPurposeSize_bytes ||
      edge_id.size() > kMaxEdgeIdSize_bytes)
    return make_error(ErrorCode::invalid_argument,
                      "a secret is derived for a purpose of 1 to {} bytes and an edge id of at "
                      "most {} bytes, not {} and {}",
                      kMaxPurposeSize_bytes, kMaxEdgeIdSize_bytes, purpose.size(), edge_id.size());
  ByteWriter input;
  input.text(purpose);
  input.text(edge_id);
  BAUTA_TRY(SecretBytes secret, SecretBytes::create(kDerivedSize_bytes));
  bool found = false;
  BAUTA_CHECK(connection_->run("derive a secret", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, kDerivationKey, id, found, [&](CK_OBJECT_HANDLE key) {
      const Module& module = connection_->module();
      CK_MECHANISM mechanism{CKM_SHA256_HMAC, nullptr, 0};
      CK_ULONG size_bytes = secret.size();
      CK_RV result = module->C_SignInit(session, &mechanism, key);
      if (result == CKR_OK)
        result = module->C_Sign(session, unconst(input.bytes()), input.bytes().size(),
                                secret.data(), &size_bytes);
      if (result == CKR_OK && size_bytes != secret.size()) return CKR_DEVICE_ERROR;
      return result;
    });
  }));
  if (!found) return not_in_token(id, connection_->label());
  return secret;
}

Status Token::destroy_key(const KeyId& id) {
  bool found = false;
  BAUTA_CHECK(connection_->run("destroy a key", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, kDerivationKey, id, found, [&](CK_OBJECT_HANDLE key) {
      return connection_->module()->C_DestroyObject(session, key);
    });
  }));
  connection_->forget(kDerivationKey, id);
  if (!found) return not_in_token(id, connection_->label());
  return connection_->sync();
}

}  // namespace bauta::keys
