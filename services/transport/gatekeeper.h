// Whether a party may make a call, by its certificate's role and the grants; asked before every
// call and at every chunk of a long answer.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "services/grants/grants.h"
#include "services/transport/rpc_rules.h"

namespace bauta::transport {

// What a server knows of grants. Without `grants`, roles alone count: the storage server's.
struct Access {
  const grants::Grants* grants = nullptr;  // must outlive the server
  // Nothing where it is not known.
  std::function<std::optional<std::string>(const std::string& gallery)> tenant_of_gallery;
  std::function<std::optional<std::string>(const std::string& key_id)> tenant_of_key;
};

// Thread-safe.
class Gatekeeper {
 public:
  explicit Gatekeeper(Access access) : access_(std::move(access)) {}

  // Error refused, with what is missing and the command that gives it; corrupt while the list of
  // grants cannot be read.
  Status check(const Party& caller, const BoundRule& rule,
               const google::protobuf::Message& request) const;

  // Whether the edge may know of the gallery.
  bool may_see(const Party& caller, const std::string& gallery, const std::string& key_id) const;

 private:
  std::string tenant_of(const BoundRule& rule, const google::protobuf::Message& request,
                        const std::string& gallery) const;
  Status check_edge(const std::string& edge, const BoundRule& rule,
                    const google::protobuf::Message& request) const;

  const Access access_;
};

}  // namespace bauta::transport
