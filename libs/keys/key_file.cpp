#include "keys/key_file.h"

#include <algorithm>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kFormat = "bauta keys";
constexpr int kVersion = 1;

// The dates by their names in the file.
constexpr std::pair<const char*, int64_t KeyRecord::*> kDates[] = {
    {"created_at_s", &KeyRecord::created_at_s},
    {"activated_at_s", &KeyRecord::activated_at_s},
    {"deactivated_at_s", &KeyRecord::deactivated_at_s},
    {"suspended_at_s", &KeyRecord::suspended_at_s},
    {"destruction_ordered_at_s", &KeyRecord::destruction_ordered_at_s},
    {"destroyed_at_s", &KeyRecord::destroyed_at_s},
};

Json to_json(const KeyRecord& record) {
  Json json = {
      {"id", to_hex(record.id)}, {"tenant", record.tenant}, {"generation", record.generation}};
  if (record.evaluation) json["evaluation"] = true;
  if (record.candidates != 1) json["candidates"] = record.candidates;
  if (record.decision_budget != 0) json["decision_budget"] = record.decision_budget;
  for (const auto& [name, date_s] : kDates)
    if (record.*date_s != 0) json[name] = record.*date_s;
  if (!record.copies.empty()) json["copies"] = record.copies;
  return json;
}

// Nothing unless it is a time before the year 10000.
std::optional<int64_t> time_from_json(const Json& json) {
  if (!json.is_number_unsigned() || json.get<uint64_t>() >= 253'402'300'800u) return std::nullopt;
  return json.get<int64_t>();
}

std::optional<KeyId> id_from_json(const Json& json) {
  if (!json.contains("id") || !json["id"].is_string()) return std::nullopt;
  const Result<Bytes> bytes = from_hex(json["id"].get_ref<const std::string&>());
  KeyId id;
  if (!bytes.ok() || bytes->size() != id.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), id.begin());
  return id;
}

// Nothing when a field is absent, of another type or out of range.
std::optional<KeyRecord> key_from_json(const Json& json) {
  if (!json.is_object() || !json.contains("tenant") || !json["tenant"].is_string() ||
      !json.contains("generation") || !json["generation"].is_number_unsigned())
    return std::nullopt;
  const std::optional<KeyId> id = id_from_json(json);
  if (!id) return std::nullopt;
  KeyRecord record;
  record.id = *id;
  record.tenant = json["tenant"].get<std::string>();
  const auto generation = json["generation"].get<uint64_t>();
  if (!is_tenant_name(record.tenant) || generation == 0 || generation > UINT32_MAX)
    return std::nullopt;
  record.generation = static_cast<uint32_t>(generation);
  if (json.contains("evaluation")) {
    if (!json["evaluation"].is_boolean()) return std::nullopt;
    record.evaluation = json["evaluation"].get<bool>();
  }
  if (json.contains("candidates")) {
    if (!json["candidates"].is_number_unsigned() || json["candidates"].get<uint64_t>() - 1 >= 1000)
      return std::nullopt;
    record.candidates = json["candidates"].get<uint32_t>();
  }
  if (json.contains("decision_budget")) {
    if (!json["decision_budget"].is_number_unsigned()) return std::nullopt;
    record.decision_budget = json["decision_budget"].get<uint64_t>();
  }
  for (const auto& [name, date_s] : kDates) {
    if (!json.contains(name)) continue;
    const std::optional<int64_t> time_s = time_from_json(json[name]);
    if (!time_s) return std::nullopt;
    record.*date_s = *time_s;
  }
  if (json.contains("copies")) {
    if (!json["copies"].is_array()) return std::nullopt;
    for (const Json& directory : json["copies"]) {
      if (!directory.is_string()) return std::nullopt;
      record.copies.push_back(directory.get<std::string>());
    }
  }
  return record;
}

std::optional<SigningKey> signing_key_from_json(const Json& json) {
  if (!json.is_object() || !json.contains("public_key") || !json["public_key"].is_string() ||
      !json.contains("created_at_s"))
    return std::nullopt;
  const std::optional<KeyId> id = id_from_json(json);
  Result<Bytes> public_key = from_hex(json["public_key"].get_ref<const std::string&>());
  const std::optional<int64_t> created_at_s = time_from_json(json["created_at_s"]);
  if (!id || !public_key.ok() || !created_at_s) return std::nullopt;
  return SigningKey{*id, std::move(*public_key), *created_at_s};
}

// False when it is no list, an entry cannot be understood, or an id stands there twice.
template <typename Entry>
bool parse_entries(const Json& list, std::optional<Entry> (*parse)(const Json&),
                   std::vector<Entry>& entries) {
  if (!list.is_array()) return false;
  std::set<KeyId> ids;
  for (const Json& json : list) {
    std::optional<Entry> entry = parse(json);
    if (!entry || !ids.insert(entry->id).second) return false;
    entries.push_back(std::move(*entry));
  }
  return true;
}

}  // namespace

bool is_tenant_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxTenantSize_bytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.';
         });
}

std::string label_of(const KeyRecord& record) {
  return fmt::format("{}{}/{}", kLabelPrefix, record.tenant, record.generation);
}

std::string serialize(const KeyRecord& record) {
  KeyRecord alone = record;
  alone.copies.clear();
  return to_json(alone).dump();
}

std::optional<KeyRecord> parse_record(std::string_view text) {
  return key_from_json(Json::parse(text, nullptr, false));
}

std::string serialize(const KeyFile& file) {
  Json json = {{"format", kFormat},
               {"version", kVersion},
               {"keys", Json::array()},
               {"signing_keys", Json::array()}};
  for (const KeyRecord& record : file.keys) json["keys"].push_back(to_json(record));
  for (const SigningKey& key : file.signing_keys)
    json["signing_keys"].push_back({{"id", to_hex(key.id)},
                                    {"public_key", to_hex(key.public_key)},
                                    {"created_at_s", key.created_at_s}});
  return json.dump(1) + "\n";
}

Result<KeyFile> parse_key_file(ByteView bytes, const fs::path& path) {
  const Json json = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  KeyFile file;
  if (json.is_object() && json.value("format", Json()) == kFormat &&
      json.value("version", Json()) == kVersion && json.contains("keys") &&
      json["keys"].is_array() && json.contains("signing_keys") && json["signing_keys"].is_array() &&
      parse_entries(json["keys"], key_from_json, file.keys) &&
      parse_entries(json["signing_keys"], signing_key_from_json, file.signing_keys))
    return file;
  return make_error(ErrorCode::corrupt,
                    "{} is not a list of keys that this version understands; restore it, or move "
                    "it away to start from what the token holds",
                    path.string());
}

}  // namespace bauta::keys
