// The part of Token that signs.

#include <algorithm>
#include <optional>

#include "base/random.h"
#include "keys/connection.h"

namespace bauta::keys {
namespace {

constexpr Kind kSigningKey{CKO_PRIVATE_KEY, CKK_EC};
constexpr Kind kVerificationKey{CKO_PUBLIC_KEY, CKK_EC};

// DER of the object identifier 1.2.840.10045.3.1.7, the curve P-256.
constexpr uint8_t kP256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
// DER of a SubjectPublicKeyInfo of that curve (RFC 5480), up to the uncompressed point.
constexpr uint8_t kPublicKeyPrefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                        0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
constexpr size_t kPointSize_bytes = 65;

// CKA_EC_POINT is the point as a DER octet string; some tokens leave the wrapping away.
std::optional<ByteView> unwrapped_point(ByteView value) {
  if (value.size() == kPointSize_bytes + 2 && value[0] == 0x04 && value[1] == kPointSize_bytes)
    value = value.subspan(2);
  if (value.size() != kPointSize_bytes || value[0] != 0x04) return std::nullopt;
  return value;
}

Error no_signing_key(const KeyId& id, std::string_view label) {
  return make_error(ErrorCode::not_found,
                    "the token '{}' does not hold the signing key {}; this is another token, or "
                    "it was made anew",
                    label, to_hex(id));
}

}  // namespace

Result<KeyId> Token::create_signing_key(std::string_view label) {
  if (label.empty() || label.size() > kMaxKeyLabelSize_bytes)
    return make_error(ErrorCode::invalid_argument, "a key's label has {} bytes; give 1 to {}",
                      label.size(), kMaxKeyLabelSize_bytes);
  KeyId id;
  random_bytes(id);
  CK_ATTRIBUTE public_part[] = {
      attribute(CKA_EC_PARAMS, kP256), attribute(CKA_ID, id),          attribute(CKA_LABEL, label),
      attribute(CKA_TOKEN, kTrue),     attribute(CKA_PRIVATE, kFalse), attribute(CKA_VERIFY, kTrue),
  };
  CK_ATTRIBUTE private_part[] = {
      attribute(CKA_ID, id),           attribute(CKA_LABEL, label),
      attribute(CKA_TOKEN, kTrue),     attribute(CKA_PRIVATE, kTrue),
      attribute(CKA_SIGN, kTrue),      attribute(CKA_DERIVE, kFalse),
      attribute(CKA_DECRYPT, kFalse),  attribute(CKA_UNWRAP, kFalse),
      attribute(CKA_SENSITIVE, kTrue), attribute(CKA_EXTRACTABLE, kFalse),
  };
  BAUTA_CHECK(connection_->run("make a signing key", [&](CK_SESSION_HANDLE session) -> CK_RV {
    bool found = false;
    // Is it there already? Then an earlier attempt made it before the connection was lost.
    const CK_RV result = connection_->with_key(session, kSigningKey, id, found,
                                               [](CK_OBJECT_HANDLE) { return CKR_OK; });
    if (result != CKR_OK || found) return result;
    CK_MECHANISM mechanism{CKM_EC_KEY_PAIR_GEN, nullptr, 0};
    CK_OBJECT_HANDLE made[2];
    return connection_->module()->C_GenerateKeyPair(session, &mechanism, public_part,
                                                    std::size(public_part), private_part,
                                                    std::size(private_part), &made[0], &made[1]);
  }));
  BAUTA_CHECK(connection_->sync());
  return id;
}

Result<Bytes> Token::public_key(const KeyId& id) {
  bool found = false;
  uint8_t value[kPointSize_bytes + 2];
  CK_ATTRIBUTE point{CKA_EC_POINT, value, sizeof value};
  BAUTA_CHECK(connection_->run("read a public key", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, kVerificationKey, id, found, [&](CK_OBJECT_HANDLE key) {
      point.ulValueLen = sizeof value;
      return connection_->module()->C_GetAttributeValue(session, key, &point, 1);
    });
  }));
  if (!found) return no_signing_key(id, connection_->label());
  const std::optional<ByteView> uncompressed = unwrapped_point({value, point.ulValueLen});
  if (!uncompressed)
    return make_error(ErrorCode::mismatch,
                      "the token '{}' writes the public key {} in a form that is not known",
                      connection_->label(), to_hex(id));
  Bytes key(std::begin(kPublicKeyPrefix), std::end(kPublicKeyPrefix));
  key.insert(key.end(), uncompressed->begin(), uncompressed->end());
  return key;
}

Result<Signature> Token::sign(const KeyId& id, std::string_view purpose, ByteView message) {
  if (purpose.empty() || purpose.size() > kMaxPurposeSize_bytes)
    return make_error(ErrorCode::invalid_argument, "a signature's purpose has 1 to {} bytes",
                      kMaxPurposeSize_bytes);
  Digest digest = signed_digest(purpose, message);
  Signature signature{};
  bool found = false;
  BAUTA_CHECK(connection_->run("sign", [&](CK_SESSION_HANDLE session) {
    return connection_->with_key(session, kSigningKey, id, found, [&](CK_OBJECT_HANDLE key) {
      const Module& module = connection_->module();
      CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
      CK_ULONG size_bytes = signature.size();
      CK_RV result = module->C_SignInit(session, &mechanism, key);
      if (result == CKR_OK)
        result =
            module->C_Sign(session, digest.data(), digest.size(), signature.data(), &size_bytes);
      if (result == CKR_OK && size_bytes != signature.size()) return CKR_DEVICE_ERROR;
      return result;
    });
  }));
  if (!found) return no_signing_key(id, connection_->label());
  return signature;
}

}  // namespace bauta::keys
