// The file keys.json (docs/formats/key-file.md). Internal to libs/keys.
#pragma once

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keys/key_store.h"

namespace bauta::keys {

inline constexpr size_t kMaxTenantSize_bytes = 64;

inline constexpr std::string_view kLabelPrefix = "bauta/";
// What stands in for a key where two are compared: its secret for this purpose, which opens
// nothing.
inline constexpr std::string_view kCheckPurpose = "bauta key check 1";

struct KeyFile {
  std::vector<KeyRecord> keys;
  std::vector<SigningKey> signing_keys;  // oldest first
};

bool is_tenant_name(std::string_view name);

// Null when there is none. Records: a vector of KeyRecord, const or not.
template <typename Records>
auto find_record(Records& records, const KeyId& id) -> decltype(records.data()) {
  const auto found = std::find_if(records.begin(), records.end(),
                                  [&](const KeyRecord& record) { return record.id == id; });
  return found == records.end() ? nullptr : &*found;
}

// "bauta/TENANT/GENERATION", the label of the key in the token: enough to know a key again when
// the file is lost.
std::string label_of(const KeyRecord& record);

// One entry of `keys` without its copies.
std::string serialize(const KeyRecord& record);
std::optional<KeyRecord> parse_record(std::string_view text);

std::string serialize(const KeyFile& file);
// Error corrupt, naming the path, unless it is what serialize() writes.
Result<KeyFile> parse_key_file(ByteView bytes, const std::filesystem::path& path);

}  // namespace bauta::keys
