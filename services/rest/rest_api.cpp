#include "services/rest/rest_api.h"

#include "base/digest.h"
#include "services/rest/operations.h"
#include "services/rest/path.h"

namespace bauta::rest {
namespace {

constexpr size_t kMaxIdempotencyKey_bytes = 128;
constexpr int kRetryAfter_s = 1;

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::already_exists:
    case ErrorCode::mismatch:
      return 409;
    case ErrorCode::refused:
      return 403;
    case ErrorCode::busy:
    case ErrorCode::unavailable:
      return 503;
    case ErrorCode::no_space:
      return 507;
    case ErrorCode::corrupt:
    case ErrorCode::internal:
      return 500;
  }
  return 500;
}

bool is_success(const Response& response) {
  return response.status < 300;
}

// Of what makes two requests the same. Lengths go before the texts, which stay where they are.
Digest digest_of(const Head& head, const Body& body) {
  std::vector<const std::string*> texts{&head.method, &head.path, &body.json};
  for (const Body::Part& part : body.parts) {
    texts.push_back(&part.name);
    texts.push_back(&part.content);
  }
  ByteWriter sizes;
  for (const std::string* text : texts) sizes.u64(text->size());
  std::vector<ByteView> parts{sizes.bytes()};
  for (const std::string* text : texts) parts.push_back(as_bytes(*text));
  return sha256(parts);
}

}  // namespace

// --- Errors

Response RestApi::problem(const Head& head, int status, const std::string& code,
                          const std::string& detail) {
  const Json document = {{"type", "urn:bauta:problem:" + code},
                         {"title", code},
                         {"status", status},
                         {"detail", detail},
                         {"request_id", head.request_id}};
  const std::string body = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  return Response{status, "application/problem+json", body, status == 503 ? kRetryAfter_s : 0};
}

Response RestApi::problem(const Head& head, const Error& error) {
  return problem(head, status_of(error.code), error_code_name(error.code), error.message);
}

// --- Who may ask what

const Caller* RestApi::find_caller(const std::string& authorization) const {
  static constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return nullptr;
  const Digest given = sha256(as_bytes(std::string_view(authorization).substr(kScheme.size())));
  const Caller* found = nullptr;
  for (const Caller& caller : callers_)
    if (equal_constant_time(given, caller.sha256)) found = &caller;
  return found;
}

bool RestApi::admit(const Head& head, Admitted& admitted, Response& refusal) const {
  bool path_known = false;
  for (const Operation& operation : operations()) {
    std::optional<std::vector<std::string>> names = match_path(operation.path, head.path);
    if (!names) continue;
    path_known = true;
    if (head.method != operation.method &&
        !(head.method == "HEAD" && operation.method == std::string_view("GET")))
      continue;
    admitted.operation = &operation;
    admitted.names = std::move(*names);
  }
  if (admitted.operation == nullptr) {
    refusal = path_known
                  ? problem(head, 405, "method_not_allowed",
                            "this path does not answer to " + head.method)
                  : problem(head, 404, "not_found",
                            "there is nothing at this path; /openapi.json lists what there is");
    return false;
  }
  const Operation& operation = *admitted.operation;
  if (operation.access != Access::anyone) {
    admitted.caller = find_caller(head.authorization);
    if (admitted.caller == nullptr) {
      refusal = problem(head, 401, "unauthenticated",
                        "send an API key of this edge as 'Authorization: Bearer KEY'");
      return false;
    }
    if (admitted.caller->access < operation.access) {
      refusal = problem(head, 403, "refused",
                        fmt::format("the API key '{}' may not do this", admitted.caller->name));
      return false;
    }
  }
  const bool multipart = head.content_type.starts_with("multipart/form-data");
  const bool json = head.content_type.starts_with("application/json");
  if (operation.body != BodyKind::none && !multipart && !json) {
    refusal = problem(head, 415, "unsupported_media_type",
                      "send the body as application/json or multipart/form-data");
    return false;
  }
  return true;
}

bool RestApi::receive(const Head& head, Visit& visit, Response& refusal) {
  Admitted admitted;
  const bool may_go_on = admit(head, admitted, refusal);
  visit.path = admitted.operation != nullptr ? admitted.operation->path : "";
  visit.caller = admitted.caller != nullptr ? admitted.caller->name : "";
  visit.answer = [this, head, admitted](const Body& body) { return answer(head, admitted, body); };
  return may_go_on;
}

// --- Answers

Response RestApi::run(const Head& head, const Admitted& admitted, const Body& body) {
  const Operation& operation = *admitted.operation;
  const Result<Fields> fields = read_fields(operation, head, body, limits_.max_images);
  if (!fields.ok()) return problem(head, fields.error());
  const Handlers handlers{*this, head, admitted.names, *fields};
  Result<Response> response = (handlers.*operation.handler)();
  return response.ok() ? std::move(*response) : problem(head, response.error());
}

Response RestApi::answer(const Head& head, const Admitted& admitted, const Body& body) {
  if (!admitted.operation->changes || head.idempotency_key.empty())
    return run(head, admitted, body);
  if (head.idempotency_key.size() > kMaxIdempotencyKey_bytes)
    return problem(
        head, 400, "invalid_argument",
        fmt::format("an Idempotency-Key has at most {} bytes", kMaxIdempotencyKey_bytes));
  return answer_once(head, admitted, body);
}

// The place of a request that is at work under its idempotency key. Unless the answer is kept, the
// key is free again afterwards, also when the work throws.
class RestApi::Attempt {
 public:
  Attempt(RestApi& api, std::string key) : api_(api), key_(std::move(key)) {}
  ~Attempt() {
    std::lock_guard lock(api_.mutex_);
    if (!kept_) api_.remembered_.erase(key_);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void keep(const Response& response) {
    std::lock_guard lock(api_.mutex_);
    Remembered& entry = api_.remembered_.at(key_);
    entry.response = response;
    api_.finished_.push_back(key_);
    entry.finished = kept_ = true;
  }

 private:
  RestApi& api_;
  const std::string key_;
  bool kept_ = false;
};

// The same request under the same key gets the first answer again; one that failed may be tried
// anew. Only finished requests are forgotten, so that none is ever done twice side by side.
Response RestApi::answer_once(const Head& head, const Admitted& admitted, const Body& body) {
  const std::string key = admitted.caller->name + "\n" + head.idempotency_key;
  const Digest digest = digest_of(head, body);
  {
    std::lock_guard lock(mutex_);
    if (const auto known = remembered_.find(key); known != remembered_.end()) {
      if (known->second.digest != digest)
        return problem(head, 422, "mismatch",
                       "this Idempotency-Key was used for another request before");
      if (known->second.finished) return known->second.response;
      return problem(head, 409, "busy", "the request with this Idempotency-Key is still at work");
    }
    if (remembered_.size() >= limits_.max_remembered) {
      if (finished_.empty())
        return problem(head, 503, "busy",
                       "too many requests with an Idempotency-Key are at work; try again");
      remembered_.erase(finished_.front());
      finished_.pop_front();
    }
    remembered_[key].digest = digest;
  }
  Attempt attempt(*this, key);
  Response response = run(head, admitted, body);
  if (is_success(response)) attempt.keep(response);
  return response;
}

}  // namespace bauta::rest
