#include "services/transport/gatekeeper.h"

#include <google/protobuf/message.h>

namespace bauta::transport {
namespace {

// No tenant has this name, so only grants for every tenant cover it.
constexpr const char* kNoTenant = "?";

bool is_edge(const Party& party) {
  return party.role == Role::edge || party.role == Role::linkage;
}

}  // namespace

std::string Gatekeeper::tenant_of(const BoundRule& rule, const google::protobuf::Message& request,
                                  const std::string& gallery) const {
  if (!rule.rule().tenant.empty()) {
    const std::string tenant = rule.tenant(request);
    return tenant.empty() ? kNoTenant : tenant;
  }
  if (!rule.rule().key_id.empty())
    return access_.tenant_of_key(rule.key_id(request)).value_or(kNoTenant);
  // Of a gallery that there is not: the name is enough to be told so.
  return access_.tenant_of_gallery(gallery).value_or("");
}

Status Gatekeeper::check_edge(const std::string& edge, const BoundRule& rule,
                              const google::protobuf::Message& request) const {
  const grants::Grants& grants = *access_.grants;
  if (rule.rule().needs == Needs::role) return grants.check_not_revoked(edge);
  const std::string gallery = rule.gallery(request);
  const std::string tenant = tenant_of(rule, request, gallery);
  switch (rule.rule().needs) {
    case Needs::any_grant:
      return grants.check_known(edge, tenant);
    case Needs::any_right:
      return gallery.empty() ? grants.check_known(edge, tenant)
                             : grants.check_any_right(edge, tenant, gallery);
    case Needs::right:
      return grants.check(edge, tenant, gallery, rule.rule().right);
    case Needs::role:
      break;
  }
  return {};
}

Status Gatekeeper::check(const Party& caller, const BoundRule& rule,
                         const google::protobuf::Message& request) const {
  if ((rule.rule().roles & static_cast<uint8_t>(caller.role)) == 0)
    return make_error(ErrorCode::refused, "a certificate for the {} '{}' may not ask {}",
                      role_name(caller.role), caller.name, rule.rule().rpc);
  const std::vector<std::string> named = rule.edges(request);
  if (is_edge(caller)) {
    for (const std::string& edge : named)
      if (edge != caller.name)
        return make_error(ErrorCode::refused,
                          "the request is in the name of edge '{}', the certificate is for '{}'",
                          edge, caller.name);
    return access_.grants == nullptr ? Status() : check_edge(caller.name, rule, request);
  }
  if (access_.grants == nullptr) return {};
  for (const std::string& edge : named) BAUTA_CHECK(check_edge(edge, rule, request));
  return {};
}

bool Gatekeeper::may_see(const Party& caller, const std::string& gallery,
                         const std::string& key_id) const {
  if (access_.grants == nullptr) return true;
  const std::string tenant = access_.tenant_of_key(key_id).value_or(kNoTenant);
  return access_.grants->check_any_right(caller.name, tenant, gallery).ok();
}

}  // namespace bauta::transport
