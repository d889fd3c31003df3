// Signatures of the key service's token, checked without it (docs/formats/signature.md): also by
// who links nothing of the keys.
#pragma once

#include <array>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"

namespace bauta {

// ECDSA over P-256 with SHA-256: r and s, 32 bytes each, big-endian.
using Signature = std::array<uint8_t, 64>;

// What is signed: SHA-256(u32(|purpose|) || purpose || message). The purpose, 1 to 64 bytes, keeps
// a signature from standing for anything else; it is never given a second meaning.
Digest signed_digest(std::string_view purpose, ByteView message);

// public_key: DER SubjectPublicKeyInfo of a P-256 key. Errors: invalid_argument when it is none;
// corrupt when the signature is not that key's on this message for this purpose.
Status verify_signature(ByteView public_key, std::string_view purpose, ByteView message,
                        const Signature& signature);

}  // namespace bauta
