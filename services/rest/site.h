// What an HTTPS server serves, without its transport: from a request's parts to a response.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bauta::rest {

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  int retry_after_s = 0;  // when not 0, the header Retry-After
  // Beside those that every response has; one of these replaces it.
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// A request's line and headers: what is known before its body is read.
struct Head {
  std::string method, path;  // the path percent-decoded, without the query
  std::string authorization, idempotency_key, content_type;
  std::string request_id;
  std::string cookie, csrf_token;  // the headers Cookie and X-CSRF-Token
};

struct Body {
  std::string json;  // the whole body, unless it is multipart
  struct Part {
    std::string name, content;
  };
  std::vector<Part> parts;
};

// A request that may go on: its body is worth reading.
struct Visit {
  std::string path;    // as its pattern, without personal data
  std::string caller;  // for logs
  std::function<Response(const Body&)> answer;
};

class Site {
 public:
  virtual ~Site() = default;
  // Before the body is read. True and `visit`; or false and `refusal`.
  virtual bool receive(const Head& head, Visit& visit, Response& refusal) = 0;
};

}  // namespace bauta::rest
