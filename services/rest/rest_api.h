// The REST interface for devices, without its transport: from a request's parts to a response. What
// it offers is described by openapi(), made from the same table of operations that requests are
// dispatched by.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/digest.h"
#include "services/rest/desk.h"
#include "services/rest/site.h"
#include "services/rest/webhook.h"

namespace bauta::rest {

// What may be asked with an API key; each includes those before it.
enum class Access { anyone, recognise, enrol, admin };

struct Caller {
  std::string name;
  Access access = Access::recognise;
  Digest sha256{};  // of the key
};

struct Operation;

// What a request may do.
struct Admitted {
  const Operation* operation = nullptr;
  const Caller* caller = nullptr;  // null for what anyone may ask
  std::vector<std::string> names;  // from the path
};

struct RestLimits {
  size_t max_images = 16;
  size_t max_remembered = 4096;  // requests under idempotency keys
};

class RestApi final : public Site {
 public:
  // on_decision is told of each decision before it is answered, and should not take long.
  RestApi(Desk& desk, std::vector<Caller> callers, RestLimits limits,
          std::function<void(const Decided&)> on_decision = {})
      : desk_(desk),
        callers_(std::move(callers)),
        limits_(limits),
        on_decision_(std::move(on_decision)) {}

  bool receive(const Head& head, Visit& visit, Response& refusal) override;
  // True and `admitted`; or false and `refusal` (401, 403, 404, 405, 415).
  bool admit(const Head& head, Admitted& admitted, Response& refusal) const;
  Response answer(const Head& head, const Admitted& admitted, const Body& body);

  // An error in the one form that all have, RFC 9457.
  static Response problem(const Head& head, int status, const std::string& code,
                          const std::string& detail);
  static Response problem(const Head& head, const Error& error);

 private:
  friend struct Handlers;

  struct Remembered {
    Digest digest{};  // of the request
    bool finished = false;
    Response response;
  };
  class Attempt;

  const Caller* find_caller(const std::string& authorization) const;
  Response answer_once(const Head& head, const Admitted& admitted, const Body& body);
  Response run(const Head& head, const Admitted& admitted, const Body& body);

  Desk& desk_;
  const std::vector<Caller> callers_;
  const RestLimits limits_;
  const std::function<void(const Decided&)> on_decision_;
  std::mutex mutex_;  // guards the two below: requests under idempotency keys
  std::map<std::string, Remembered> remembered_;
  std::deque<std::string> finished_;  // those whose answers are kept, oldest first
};

// OpenAPI 3.1, and a page that shows it without asking any other host.
const std::string& openapi();
const std::string& browsable_page();

}  // namespace bauta::rest
