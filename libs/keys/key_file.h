// The file keys.json (docs/formats/key-file.md). Internal to libs/keys.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "keys/key_store.h"

namespace bauta::keys {

inline constexpr size_t kMaxTenantSize_bytes = 64;

struct KeyFile {
  std::vector<KeyRecord> keys;
  std::vector<SigningKey> signing_keys;  // oldest first
};

bool is_tenant_name(std::string_view name);

std::string serialize(const KeyFile& file);
// Error corrupt, naming the path, unless it is what serialize() writes.
Result<KeyFile> parse_key_file(ByteView bytes, const std::filesystem::path& path);

}  // namespace bauta::keys
