#include "services/rest/webhook.h"

#include <chrono>
#include <ctime>

#include <openssl/hmac.h>
#include <sys/stat.h>

#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/random.h"
#include "services/rest/json.h"

namespace bauta::rest {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMinSecret_bytes = 16, kMaxSecret_bytes = 4096;
constexpr time_t kTimeout_s = 5;
constexpr const char* kSignatureHeader = "Bauta-Signature";

struct Address {
  std::string origin, path;  // "https://HOST:PORT" and "/PATH"
};

Result<Address> parse_url(const std::string& url) {
  const size_t scheme = url.find("://");
  const size_t path = scheme == std::string::npos ? scheme : url.find('/', scheme + 3);
  const std::string origin = url.substr(0, path);
  const std::string host = scheme == std::string::npos ? "" : origin.substr(scheme + 3);
  const auto is_host = [&](const std::string& name) {
    return host == name || host.starts_with(name + ":");
  };
  const bool local = is_host("localhost") || is_host("127.0.0.1") || is_host("[::1]");
  const bool printable = std::ranges::all_of(url, [](char c) { return c > ' ' && c <= '~'; });
  if (host.empty() || host.find('@') != std::string::npos || !printable ||
      !(url.starts_with("https://") || (url.starts_with("http://") && local)))
    return make_error(ErrorCode::invalid_argument,
                      "webhook_url should be https://HOST/PATH, or http:// on this machine, not {}",
                      url);
  return Address{origin, path == std::string::npos ? "/" : url.substr(path)};
}

Result<SecretBytes> read_secret(const std::filesystem::path& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0 && (status.st_mode & 0077) != 0)
    return make_error(ErrorCode::refused,
                      "{} can be read by others than its owner; correct it with 'chmod 600'",
                      path.string());
  BAUTA_TRY(Bytes bytes, read_file(path, kMaxSecret_bytes));
  if (bytes.size() < kMinSecret_bytes)
    return make_error(ErrorCode::invalid_argument, "{} should hold {} to {} bytes", path.string(),
                      kMinSecret_bytes, kMaxSecret_bytes);
  BAUTA_TRY(SecretBytes secret, SecretBytes::create(bytes.size()));
  std::ranges::copy(bytes, secret.data());
  wipe(bytes);
  return secret;
}

std::string body_of(const Decided& decided) {
  Bytes id(16);
  random_bytes(id);
  Json body = {{"id", to_hex(id)},
               {"time_s", std::time(nullptr)},
               {"operation", decided.operation},
               {"gallery", decided.gallery},
               {"decision", decided.decision},
               {"subject", decided.subject.empty() ? Json() : Json(decided.subject)},
               {"presentation", decided.presentation},
               {"request_id", decided.request_id}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// A receiver that says so will not take it later either.
bool is_final(int status) {
  return status >= 400 && status < 500 && status != 408 && status != 425 && status != 429;
}

}  // namespace

class Webhook::Receiver {
 public:
  Receiver(const Address& address, const std::filesystem::path& authority)
      : path_(address.path), client_(address.origin) {
    client_.set_ca_cert_path(authority.c_str());
    client_.enable_server_certificate_verification(true);
    client_.set_keep_alive(true);
    client_.set_connection_timeout(kTimeout_s);
    client_.set_read_timeout(kTimeout_s);
    client_.set_write_timeout(kTimeout_s);
  }

  // A status, or 0 and `reason`.
  int post(const std::string& body, const std::string& signature, std::string& reason) {
    const httplib::Result result =
        client_.Post(path_, {{kSignatureHeader, signature}}, body, "application/json");
    reason = result ? fmt::format("status {}", result->status) : httplib::to_string(result.error());
    return result ? result->status : 0;
  }
  void interrupt() { client_.stop(); }

 private:
  const std::string path_;
  httplib::Client client_;
};

std::string webhook_signature(const SecretBytes& secret, int64_t time_s, const std::string& body) {
  const std::string message = fmt::format("{}.{}", time_s, body);
  Digest digest{};
  unsigned int size = 0;
  const auto* made = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                          as_bytes(message).data(), message.size(), digest.data(), &size);
  BAUTA_ASSERT(made != nullptr && size == digest.size());
  return fmt::format("t={},v1={}", time_s, to_hex(digest));
}

Result<std::unique_ptr<Webhook>> Webhook::start(const WebhookOptions& options,
                                                DeliveryObserver observer) {
  BAUTA_TRY(const Address address, parse_url(options.url));
  BAUTA_TRY(SecretBytes secret, read_secret(options.secret));
  auto receiver = std::make_unique<Receiver>(address, options.authority);
  return std::unique_ptr<Webhook>(
      new Webhook(options, std::move(secret), std::move(receiver), std::move(observer)));
}

Webhook::Webhook(const WebhookOptions& options, SecretBytes secret,
                 std::unique_ptr<Receiver> receiver, DeliveryObserver observer)
    : options_(options),
      secret_(std::move(secret)),
      receiver_(std::move(receiver)),
      observer_(std::move(observer)),
      thread_([this] { deliver_all(); }) {}

Webhook::~Webhook() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  receiver_->interrupt();
  thread_.join();
}

void Webhook::send(const Decided& decided) {
  {
    std::lock_guard lock(mutex_);
    if (waiting_.size() < options_.max_waiting) {
      waiting_.push_back({body_of(decided), decided.request_id});
      changed_.notify_all();
      return;
    }
  }
  report({"no room", decided.request_id,
          fmt::format("{} decisions wait to be told already", options_.max_waiting), 0});
}

void Webhook::deliver_all() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
    if (stop_) break;
    const Notice notice = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    report(deliver(notice));
    lock.lock();
  }
  for (const Notice& notice : waiting_) report({"given up", notice.request_id, "the edge ends", 0});
}

Delivery Webhook::deliver(const Notice& notice) {
  const auto start = Clock::now();
  Delivery delivery{"given up", notice.request_id, "", 0};
  int64_t retry_ms = options_.first_retry_ms;
  for (int attempt = 1; attempt <= options_.attempts; ++attempt, retry_ms *= 2) {
    const std::string signature = webhook_signature(secret_, std::time(nullptr), notice.body);
    const int status = receiver_->post(notice.body, signature, delivery.detail);
    if (status >= 200 && status < 300) delivery.outcome = "ok";
    if (delivery.outcome == "ok" || is_final(status) || attempt == options_.attempts) break;
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, std::chrono::milliseconds(retry_ms), [this] { return stop_; }))
      break;
  }
  delivery.duration_us =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
  return delivery;
}

void Webhook::report(const Delivery& delivery) const {
  if (observer_) observer_(delivery);
}

}  // namespace bauta::rest
