// Clients: the interfaces of services/services.h over a connection. Thread-safe. A lost connection
// is made anew by itself; a call made meanwhile waits for it a few seconds. Only calls that change
// nothing and cost no decision are sent again after a failure; whether another that failed took
// effect has to be asked.
#pragma once

#include <memory>

#include "services/services.h"
#include "services/transport/transport.h"

namespace bauta::transport {

struct ClientOptions {
  std::string address;  // HOST:PORT
  TlsFiles tls;
  int64_t connect_timeout_ms = 5'000;
  int64_t deadline_ms = 30'000;  // of a call; those that generate keys get four times as much
};

// Errors: those of the TLS files (not_found, refused, invalid_argument). Whether the server answers
// shows at the first call.
Result<std::unique_ptr<AuthService>> connect_auth(const ClientOptions& options);
Result<std::unique_ptr<KeyService>> connect_key(const ClientOptions& options);
Result<std::unique_ptr<EdgeKeyService>> connect_edge_keys(const ClientOptions& options);
// With the certificate of the linkage server.
Result<std::unique_ptr<CollectionService>> connect_collection(const ClientOptions& options);
Result<std::unique_ptr<OversightService>> connect_oversight(const ClientOptions& options);
Result<std::unique_ptr<StorageService>> connect_storage(const ClientOptions& options);

}  // namespace bauta::transport
