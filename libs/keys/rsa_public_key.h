// RSA public keys, between PKCS#11's two numbers and DER SubjectPublicKeyInfo. Internal to
// libs/keys.
#pragma once

#include "base/bytes.h"

namespace bauta::keys {

inline constexpr int kMinRsaModulus_bits = 3072;
inline constexpr int kMaxRsaModulus_bits = 8192;

struct RsaPublicKey {
  Bytes modulus;   // big-endian, without leading zeros
  Bytes exponent;  // likewise
};

// Error invalid_argument unless it is an RSA key of kMinRsaModulus_bits to kMaxRsaModulus_bits.
Result<RsaPublicKey> parse_rsa_public_key(ByteView der);
Result<Bytes> serialize(const RsaPublicKey& key);

}  // namespace bauta::keys
