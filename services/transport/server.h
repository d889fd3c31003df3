// A server: an implementation of the interfaces of services/services.h behind a TLS port. Who may
// call what follows from the role in the caller's certificate and from the grants, by the table of
// services/transport/rpc_rules.h.
#pragma once

#include <functional>
#include <memory>

#include "services/services.h"
#include "services/transport/gatekeeper.h"
#include "services/transport/transport.h"

namespace bauta::transport {

inline constexpr int kMaxConcurrentCalls = 64;

struct ServerOptions {
  std::string listen;  // HOST:PORT; port 0 takes a free one
  TlsFiles tls;
  int max_concurrent_calls = kMaxConcurrentCalls;  // more are refused as busy
  Access access = {};  // of the authentication server and the key service: with grants
};

// What one call was, for logs and counters. No personal data.
struct ServedCall {
  const char* method = "";  // e.g. "Identify"
  std::string peer;         // the caller's common name
  std::string request_id;
  int64_t duration_us = 0;
  const Error* error = nullptr;  // null: it succeeded
};
using CallObserver = std::function<void(const ServedCall&)>;

class Server {
 public:
  // The services must outlive the server. Errors: those of the TLS files; busy when another program
  // has the port.
  static Result<std::unique_ptr<Server>> serve_auth(const ServerOptions& options, AuthService& auth,
                                                    CallObserver observer = {},
                                                    CollectionService* collection = nullptr);
  static Result<std::unique_ptr<Server>> serve_key(const ServerOptions& options, KeyService& key,
                                                   EdgeKeyService& edge_keys,
                                                   CallObserver observer = {},
                                                   OversightService* oversight = nullptr);
  static Result<std::unique_ptr<Server>> serve_storage(const ServerOptions& options,
                                                       StorageService& storage,
                                                       CallObserver observer = {});
  virtual ~Server() = default;

  virtual int port() const = 0;

  // Takes no new calls, lets those at work end within the time, then cuts them off. Called by the
  // destructor too.
  virtual void drain(int64_t timeout_ms) = 0;
};

}  // namespace bauta::transport
