// The one table of who may call what: each rpc of each service, which roles it is for, which right
// it needs, and where the gallery and the edge stand in its request. A test fails on an rpc
// without a line.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "services/grants/grant_list.h"
#include "services/transport/roles.h"

namespace google::protobuf {
class FieldDescriptor;
class Message;
}  // namespace google::protobuf

namespace bauta::transport {

// Of whom: the edge that calls, or, where an authentication server calls, each edge that the
// request names.
enum class Needs {
  role,       // nothing more; an edge that calls is not revoked
  any_grant,  // on some gallery of the tenant
  any_right,  // on the gallery
  right,      // that of the line, on the gallery
};

struct RpcRule {
  std::string_view rpc;  // package, service and name
  uint8_t roles;         // of Role: who may call
  Needs needs = Needs::role;
  grants::Right right = grants::Right::admin;
  // Fields of the request, "" where there is none; "a.b" is a field of a field. An edge's own
  // certificate must be for the edge that is named.
  std::string_view edge = "", gallery = "";
  // Of which tenant the gallery is: named, or that of a key. Else the gallery's own.
  std::string_view tenant = "", key_id = "";
};

std::span<const RpcRule> rpc_rules();

// A line with its fields found in the request's type.
class BoundRule {
 public:
  // Precondition: there is such a line, and it fits the type.
  static BoundRule find(std::string_view rpc, const google::protobuf::Message& request_type);

  const RpcRule& rule() const { return *rule_; }
  // Empty where the field is not set.
  std::vector<std::string> edges(const google::protobuf::Message& request) const;
  std::string gallery(const google::protobuf::Message& request) const;
  std::string tenant(const google::protobuf::Message& request) const;
  std::string key_id(const google::protobuf::Message& request) const;

 private:
  using Path = std::vector<const google::protobuf::FieldDescriptor*>;
  const RpcRule* rule_ = nullptr;
  Path edge_, gallery_, tenant_, key_id_;
};

}  // namespace bauta::transport
