#include "base/signature.h"

#include <memory>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/release.h"

namespace bauta {
namespace {

using PublicKey = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, Release<EVP_PKEY_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Release<ECDSA_SIG_free>>;

Result<PublicKey> parse_public_key(ByteView der) {
  const uint8_t* cursor = der.data();
  PublicKey key(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(der.size())));
  char group[32] = {};
  size_t size_bytes = 0;
  if (key == nullptr || cursor != der.data() + der.size() ||
      EVP_PKEY_get_group_name(key.get(), group, sizeof group, &size_bytes) != 1 ||
      std::string_view(group) != "prime256v1")
    return make_error(ErrorCode::invalid_argument, "this is not the public key of a P-256 key");
  return key;
}

// As OpenSSL wants it: a DER sequence of two integers. Empty when it cannot be encoded.
Bytes to_der(const Signature& signature) {
  EcdsaSignature parts(ECDSA_SIG_new());
  BIGNUM* r = BN_bin2bn(signature.data(), 32, nullptr);
  BIGNUM* s = BN_bin2bn(signature.data() + 32, 32, nullptr);
  if (parts == nullptr || r == nullptr || s == nullptr || ECDSA_SIG_set0(parts.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  uint8_t* der = nullptr;
  const int size_bytes = i2d_ECDSA_SIG(parts.get(), &der);
  Bytes bytes(der, der + (size_bytes > 0 ? size_bytes : 0));
  OPENSSL_free(der);
  return bytes;
}

}  // namespace

Digest signed_digest(std::string_view purpose, ByteView message) {
  ByteWriter prefix;
  prefix.text(purpose);
  const ByteView parts[] = {prefix.bytes(), message};
  return sha256(parts);
}

Status verify_signature(ByteView public_key, std::string_view purpose, ByteView message,
                        const Signature& signature) {
  BAUTA_TRY(const PublicKey key, parse_public_key(public_key));
  const Digest digest = signed_digest(purpose, message);
  const Bytes der = to_der(signature);
  const Context context(EVP_PKEY_CTX_new(key.get(), nullptr));
  if (context != nullptr && EVP_PKEY_verify_init(context.get()) == 1 &&
      EVP_PKEY_verify(context.get(), der.data(), der.size(), digest.data(), digest.size()) == 1)
    return {};
  return make_error(ErrorCode::corrupt,
                    "the signature is not one of this key on this message: one of them was "
                    "changed");
}

}  // namespace bauta
