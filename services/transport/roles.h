// What a certificate says of its owner: one URI bauta://ROLE/NAME among its alternative names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bauta::transport {

// The names are persistent: they stand in certificates.
enum class Role : uint8_t { edge = 1, auth = 2, key = 4, linkage = 8, storage = 16, worker = 32 };
const char* role_name(Role role);
// Error invalid_argument: there is no such role.
Result<Role> parse_role(std::string_view name);

// Who calls.
struct Party {
  Role role = Role::edge;
  std::string name;  // "auth", "key", "storage", or the edge's, linkage server's or worker's
  bool operator==(const Party&) const = default;
};

// What issue_certificate takes a name for when nothing else is said: the servers are named for
// their roles, the linkage server is "linkage", everybody else is an edge.
Role role_of_name(std::string_view name);

std::string role_uri(const Party& party);
// Of all URIs of a certificate for `common_name`; those that are not bauta's are passed over. Error
// refused, with the command that helps, unless exactly one says a role.
Result<Party> party_of(std::span<const std::string> uris, std::string_view common_name);

}  // namespace bauta::transport
