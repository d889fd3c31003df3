// Envelope encryption of stored packages: AES-256-GCM under a fresh data key per package, which is
// itself encrypted under a key that only the token can derive (docs/formats/envelope.md).
#pragma once

#include "base/bytes.h"
#include "base/secret.h"
#include "keys/key_store.h"

namespace bauta::keys {

inline constexpr size_t kMaxEnvelopeContent_bytes = 64 << 20;
inline constexpr size_t kMaxEnvelopeContext_bytes = 1024;

// `context` says what the package is and whose, e.g. "registration 3f2a"; it is not stored, and the
// same bytes must be given to open it: a package cannot be passed off as another. All functions:
// errors of KeyStore::derive, and invalid_argument when content or context are too long.

// Encrypts the content under a key of the store.
Result<Bytes> seal(KeyStore& store, const KeyId& key, std::string_view context, ByteView content);

// The content, in locked memory. Errors: corrupt when a bit was changed, the context is another or
// the format is not known.
Result<SecretBytes> open_sealed(KeyStore& store, std::string_view context, ByteView sealed);

// The same package under another key, e.g. the next generation: only the data key is encrypted
// anew, and the content is not touched. Errors as open_sealed, but a change in the content is not
// noticed here.
Result<Bytes> reseal(KeyStore& store, const KeyId& key, std::string_view context, ByteView sealed);

// The key a package is sealed under. Error corrupt.
Result<KeyId> sealed_under(ByteView sealed);

}  // namespace bauta::keys
