#include "keys/rsa_public_key.h"

#include <memory>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include "base/release.h"

namespace bauta::keys {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, Release<EVP_PKEY_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Release<BN_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Release<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Release<OSSL_PARAM_free>>;

Error not_rsa() {
  return make_error(ErrorCode::invalid_argument,
                    "this is not the public key of an RSA key of {} to {} bits",
                    kMinRsaModulus_bits, kMaxRsaModulus_bits);
}

Bytes number_of(const Key& key, const char* name) {
  BIGNUM* value = nullptr;
  if (EVP_PKEY_get_bn_param(key.get(), name, &value) != 1) return {};
  const Number number(value);
  Bytes bytes(static_cast<size_t>(BN_num_bytes(value)));
  BN_bn2bin(value, bytes.data());
  return bytes;
}

bool is_accepted(const Key& key) {
  return EVP_PKEY_is_a(key.get(), "RSA") == 1 &&
         EVP_PKEY_get_bits(key.get()) >= kMinRsaModulus_bits &&
         EVP_PKEY_get_bits(key.get()) <= kMaxRsaModulus_bits;
}

}  // namespace

Result<RsaPublicKey> parse_rsa_public_key(ByteView der) {
  const uint8_t* cursor = der.data();
  const Key key(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(der.size())));
  if (key == nullptr || cursor != der.data() + der.size() || !is_accepted(key)) return not_rsa();
  RsaPublicKey parsed{number_of(key, OSSL_PKEY_PARAM_RSA_N), number_of(key, OSSL_PKEY_PARAM_RSA_E)};
  if (parsed.modulus.empty() || parsed.exponent.empty()) return not_rsa();
  return parsed;
}

Result<Bytes> serialize(const RsaPublicKey& key) {
  const Number modulus(
      BN_bin2bn(key.modulus.data(), static_cast<int>(key.modulus.size()), nullptr));
  const Number exponent(
      BN_bin2bn(key.exponent.data(), static_cast<int>(key.exponent.size()), nullptr));
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return not_rsa();
  const Key owned(made);
  if (!is_accepted(owned)) return not_rsa();
  uint8_t* der = nullptr;
  const int size_bytes = i2d_PUBKEY(made, &der);
  Bytes bytes(der, der + (size_bytes > 0 ? size_bytes : 0));
  OPENSSL_free(der);
  return bytes;
}

}  // namespace bauta::keys
