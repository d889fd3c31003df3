// Wrapped copies of keys on disk (docs/formats/wrapped-key.md). Internal to libs/keys.
#pragma once

#include <filesystem>

#include "base/digest.h"
#include "keys/key_store.h"

namespace bauta::keys {

inline constexpr std::string_view kWrappedKeyPurpose = "bauta wrapped key 1";
inline constexpr size_t kMaxWrappedKey_bytes = 65536;

struct KeyCopy {
  KeyRecord record;  // as it was then
  Digest check{};    // what the key derives for kCheckPurpose
  WrappedKey key;
};

// All but the signature.
Bytes serialize(const KeyCopy& copy);
Bytes with_signature(Bytes serialized, const SignedBy& signature);

// `what` names it in errors. Error corrupt when it is malformed or `signer` has not signed it.
Result<KeyCopy> parse_key_copy(ByteView bytes, ByteView signer, std::string_view what);

std::filesystem::path copy_path(const std::filesystem::path& directory, const KeyId& id);
bool is_copy_path(const std::filesystem::path& path);

// From every directory that the record names. Error unavailable when one cannot be reached.
Status remove_copies(const KeyRecord& record);

}  // namespace bauta::keys
