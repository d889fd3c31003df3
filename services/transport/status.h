// Errors as they cross a connection: the code and the message of an Error arrive as they were sent;
// what gRPC itself reports becomes `unavailable`, with a sentence of ours.
#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "base/result.h"

namespace bauta::transport {

grpc::Status to_grpc(const Error& error);

// `peer` names the other side in errors, e.g. "the key service at 127.0.0.1:7443". Precondition:
// !status.ok().
Error from_grpc(const grpc::Status& status, const std::string& peer);

}  // namespace bauta::transport
