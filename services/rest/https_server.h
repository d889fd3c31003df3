// HTTPS (TLS 1.2 or later) before a site. Everything that a sender controls is bounded:
// connections, the bytes and the time of headers and of a body, and the memory of all bodies
// together.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "services/rest/site.h"

namespace bauta::rest {

struct HttpsOptions {
  std::string listen;  // HOST:PORT; port 0 takes a free one
  std::filesystem::path certificate, private_key;
  size_t max_body_bytes = size_t{16} << 20;
  size_t max_connections = 256;
  int64_t request_timeout_ms = 30'000;
};

// What one request was, for logs and counters. No personal data: the path stands as its pattern.
struct ServedRequest {
  std::string method, path, request_id, caller;
  int status = 0;
  int64_t duration_us = 0;
};
using RequestObserver = std::function<void(const ServedRequest&)>;

class HttpsServer {
 public:
  // `site` must outlive the server. Errors: refused or invalid_argument for the TLS files; busy
  // when another program has the port.
  static Result<std::unique_ptr<HttpsServer>> start(const HttpsOptions& options, Site& site,
                                                    RequestObserver observer = {});
  virtual ~HttpsServer() = default;

  virtual int port() const = 0;
  // Takes no new connections and returns when the requests at work are ended; connections that are
  // open after the timeout are cut. The destructor does so without a timeout.
  virtual void drain(int64_t timeout_ms) = 0;
};

}  // namespace bauta::rest
