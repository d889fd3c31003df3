// TLS files as gRPC takes them. Internal to services/transport.
#pragma once

#include <memory>

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include "services/transport/transport.h"

namespace bauta::transport {

// Errors: not_found and others of reading; refused when others than its owner can read the private
// key, or the certificate does not say what its owner is; invalid_argument for a file that is not
// PEM.
Result<std::shared_ptr<grpc::ChannelCredentials>> client_credentials(const TlsFiles& files);
Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const TlsFiles& files);

}  // namespace bauta::transport
