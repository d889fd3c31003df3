#include "services/transport/rpc_rules.h"

#include <algorithm>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "base/result.h"

namespace bauta::transport {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using grants::Right;

constexpr uint8_t of(Role role) {
  return static_cast<uint8_t>(role);
}
// The linkage server is an edge of every engine (docs/adr/0010).
constexpr uint8_t kEdges = of(Role::edge) | of(Role::linkage);
constexpr uint8_t kAuth = of(Role::auth);
constexpr uint8_t kLinkage = of(Role::linkage);

constexpr Needs kRight = Needs::right;

constexpr RpcRule kRules[] = {
    {"bauta.v1.Auth.CreateGallery", kEdges, kRight, Right::admin, "edge_id", "gallery", "",
     "key_id"},
    // Shows those on which the edge has a right.
    {"bauta.v1.Auth.ListGalleries", kEdges},
    {"bauta.v1.Auth.GetGallery", kEdges, Needs::any_right, {}, "", "gallery"},
    {"bauta.v1.Auth.DeleteGallery", kEdges, kRight, Right::admin, "", "gallery"},
    {"bauta.v1.Auth.Enrol", kEdges, kRight, Right::enrol, "edge_id", "gallery"},
    {"bauta.v1.Auth.Erase", kEdges, kRight, Right::erase, "", "gallery"},
    {"bauta.v1.Auth.Identify", kEdges, kRight, Right::recognise, "edge_id", "gallery"},
    {"bauta.v1.Auth.Verify", kEdges, kRight, Right::recognise, "edge_id", "gallery"},
    {"bauta.v1.Auth.RenewGallery", kEdges, kRight, Right::admin, "", "gallery"},

    {"bauta.v1.Key.GetEvaluationKeys", kAuth},
    {"bauta.v1.Key.GetEdgeSwitchingKey", kAuth, Needs::any_grant, {}, "edge_id", "", "", "key_id"},
    {"bauta.v1.Key.GetImageKeys", kAuth, Needs::any_grant, {}, "keys.edge_id", "", "", "key_id"},
    {"bauta.v1.Key.GetRenewalKey", kAuth},
    {"bauta.v1.Key.GetGrants", kAuth},
    // The key service itself asks for the right of the edge that has signed the ticket.
    {"bauta.v1.Key.Admit", kAuth},
    {"bauta.v1.Key.Decide", kAuth},
    {"bauta.v1.Key.RegisterContract", kAuth},
    {"bauta.v1.Key.GetSuccessor", kAuth},

    {"bauta.v1.EdgeKeys.GetActiveKey", kEdges, Needs::any_grant, {}, "", "", "tenant"},
    {"bauta.v1.EdgeKeys.GetEdgeKey", kEdges, Needs::any_grant, {}, "edge_id", "", "", "key_id"},

    {"bauta.v1.Collection.ReadLog", kLinkage},
    {"bauta.v1.Collection.ExportGallery", kLinkage, Needs::any_right, {}, "", "gallery"},
    {"bauta.v1.Oversight.ListKeys", kLinkage, Needs::any_grant, {}, "", "", "tenant"},
    {"bauta.v1.Oversight.CheckDecisions", kLinkage},

    {"bauta.v1.Storage.PutPackage", kLinkage},
    {"bauta.v1.Storage.GetPackage", kLinkage},
    {"bauta.v1.Storage.DeletePackage", kLinkage},
    {"bauta.v1.Storage.AppendLog", kLinkage},
    {"bauta.v1.Storage.FindLog", kLinkage},
    {"bauta.v1.Storage.PutBackup", kLinkage},
    {"bauta.v1.Storage.ListBackups", kLinkage},
    {"bauta.v1.Storage.GetBackup", kLinkage},
    {"bauta.v1.Storage.DeleteBackup", kLinkage},
};

std::vector<const FieldDescriptor*> bind(std::string_view path,
                                         const google::protobuf::Descriptor& type) {
  std::vector<const FieldDescriptor*> fields;
  const google::protobuf::Descriptor* at = &type;
  while (!path.empty()) {
    BAUTA_ASSERT(at != nullptr);
    const std::string_view name = path.substr(0, path.find('.'));
    fields.push_back(at->FindFieldByName(std::string(name)));
    BAUTA_ASSERT(fields.back() != nullptr);
    at = fields.back()->message_type();
    path.remove_prefix(std::min(path.size(), name.size() + 1));
  }
  BAUTA_ASSERT(fields.empty() || fields.back()->cpp_type() == FieldDescriptor::CPPTYPE_STRING);
  return fields;
}

void collect(const Message& message, std::span<const FieldDescriptor* const> path,
             std::vector<std::string>& found) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* const field = path.front();
  if (path.size() > 1) {
    if (!field->is_repeated()) {
      collect(reflection.GetMessage(message, field), path.subspan(1), found);
      return;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      collect(reflection.GetRepeatedMessage(message, field, i), path.subspan(1), found);
    return;
  }
  // One of several kinds, and this is another.
  if (field->containing_oneof() != nullptr && !reflection.HasField(message, field)) return;
  found.push_back(reflection.GetString(message, field));
}

std::string first_of(const Message& message, std::span<const FieldDescriptor* const> path) {
  std::vector<std::string> found;
  if (!path.empty()) collect(message, path, found);
  return found.empty() ? std::string() : found.front();
}

}  // namespace

std::span<const RpcRule> rpc_rules() {
  return kRules;
}

BoundRule BoundRule::find(std::string_view rpc, const Message& request_type) {
  const auto* const rule = std::ranges::find(kRules, rpc, &RpcRule::rpc);
  BAUTA_ASSERT(rule != std::end(kRules));
  const google::protobuf::Descriptor& type = *request_type.GetDescriptor();
  BoundRule bound;
  bound.rule_ = rule;
  bound.edge_ = bind(rule->edge, type);
  bound.gallery_ = bind(rule->gallery, type);
  bound.tenant_ = bind(rule->tenant, type);
  bound.key_id_ = bind(rule->key_id, type);
  return bound;
}

std::vector<std::string> BoundRule::edges(const Message& request) const {
  std::vector<std::string> found;
  if (!edge_.empty()) collect(request, edge_, found);
  return found;
}

std::string BoundRule::gallery(const Message& request) const {
  return first_of(request, gallery_);
}

std::string BoundRule::tenant(const Message& request) const {
  return first_of(request, tenant_);
}

std::string BoundRule::key_id(const Message& request) const {
  return first_of(request, key_id_);
}

}  // namespace bauta::transport
