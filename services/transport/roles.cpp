#include "services/transport/roles.h"

#include <algorithm>

#include "services/transport/transport.h"

namespace bauta::transport {
namespace {

constexpr std::string_view kScheme = "bauta://";
constexpr Role kRoles[] = {Role::edge,    Role::auth,    Role::key,
                           Role::linkage, Role::storage, Role::worker};

bool is_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, is_allowed);
}

// Servers are reached under the name of their role, and there is one of each.
bool is_server(Role role) {
  return role == Role::auth || role == Role::key || role == Role::storage;
}

Error no_role(std::string_view common_name, std::string_view why) {
  return make_error(
      ErrorCode::refused,
      "the certificate for '{}' {}; issue it anew where the authority is, with 'bauta "
      "ca issue --name {} --replace'",
      common_name, why, common_name.empty() ? "NAME" : common_name);
}

}  // namespace

const char* role_name(Role role) {
  switch (role) {
    case Role::edge:
      return "edge";
    case Role::auth:
      return "auth";
    case Role::key:
      return "key";
    case Role::linkage:
      return "linkage";
    case Role::storage:
      return "storage";
    case Role::worker:
      return "worker";
  }
  return "unknown";
}

Result<Role> parse_role(std::string_view name) {
  for (const Role role : kRoles)
    if (name == role_name(role)) return role;
  return make_error(ErrorCode::invalid_argument,
                    "'{}' is no role: edge, auth, key, linkage, storage or worker", name);
}

Role role_of_name(std::string_view name) {
  if (name == kAuthName) return Role::auth;
  if (name == kKeyName) return Role::key;
  if (name == kStorageName) return Role::storage;
  return name == kLinkageName ? Role::linkage : Role::edge;
}

std::string role_uri(const Party& party) {
  return fmt::format("{}{}/{}", kScheme, role_name(party.role), party.name);
}

Result<Party> party_of(std::span<const std::string> uris, std::string_view common_name) {
  const std::string* own = nullptr;
  for (const std::string& uri : uris) {
    if (!std::string_view(uri).starts_with(kScheme)) continue;
    if (own != nullptr) return no_role(common_name, "says more than one role");
    own = &uri;
  }
  if (own == nullptr) return no_role(common_name, "does not say what its owner is");
  const std::string_view rest = std::string_view(*own).substr(kScheme.size());
  const size_t slash = rest.find('/');
  const Result<Role> role = parse_role(rest.substr(0, slash));
  const std::string_view name =
      slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (!role.ok() || !is_name(name)) return no_role(common_name, "says a role that there is not");
  const Role by_name = role_of_name(name);
  // A server's name is its role's, and no edge has such a name.
  if ((is_server(*role) || is_server(by_name)) && *role != by_name)
    return no_role(common_name, "says a role that is not that of its name");
  return Party{*role, std::string(name)};
}

}  // namespace bauta::transport
