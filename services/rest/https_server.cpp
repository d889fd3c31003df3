#include "services/rest/https_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <thread>

#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

#include "base/random.h"
#include "services/rest/operations.h"
#include "services/transport/address.h"
#include "services/transport/transport.h"

namespace bauta::rest {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr size_t kMaxHead_bytes = 64 << 10;   // request line and headers, as TLS records
constexpr Milliseconds kHeadTimeout(10'000);  // of the handshake or an idle connection, too
constexpr Milliseconds kLinger(1'000);
constexpr size_t kMaxLinger_bytes = size_t{8} << 20;
constexpr size_t kMaxParts = 300;
constexpr size_t kBodiesTogether = 16;  // memory for this many bodies of the largest size
constexpr time_t kStall_s = 10;         // no byte for so long ends a connection

// --- Connections under watch

// What one worker's connection may still do; each worker thread has one. The watchdog shuts a
// connection down that takes longer, or sends more before its body, than it may. It does so through
// a descriptor of its own: the number of the server's can be another connection's by then.
class Watched {
 public:
  Watched() = default;
  ~Watched() { close(); }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void open(int descriptor) {
    close();
    std::lock_guard lock(mutex_);
    descriptor_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    if (descriptor_ < 0) ::shutdown(descriptor, SHUT_RDWR);  // none goes unwatched
    close_ = false;
    begin_head();
  }
  void close() {
    std::lock_guard lock(mutex_);
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }
  // Before a request's headers.
  void expect_head() {
    std::lock_guard lock(mutex_);
    begin_head();
  }
  // The headers are read; from here on a body of so many bytes may come.
  void expect_body(size_t max_bytes, Milliseconds timeout) {
    std::lock_guard lock(mutex_);
    bytes_left_ = max_bytes + max_bytes / 8 + kMaxHead_bytes;
    deadline_ = Clock::now() + timeout;
  }
  void received(size_t bytes) {
    std::lock_guard lock(mutex_);
    if (bytes <= bytes_left_)
      bytes_left_ -= bytes;
    else
      shut();
  }
  void check(Clock::time_point now, bool cut) {
    std::lock_guard lock(mutex_);
    if (descriptor_ >= 0 && (cut || now > deadline_)) shut();
  }
  // The request was answered before all of it was read: the rest must not be taken for another.
  void close_after_answer() { close_ = true; }
  // After an answer is written: reads what the sender still sends for a moment, so that it reads
  // the answer.
  void linger_if_closing() {
    if (!close_ || descriptor_ < 0) return;
    ::shutdown(descriptor_, SHUT_WR);
    const auto deadline = Clock::now() + kLinger;
    char discarded[16384];
    for (size_t bytes = 0; bytes < kMaxLinger_bytes && Clock::now() < deadline;) {
      const ssize_t count = recv(descriptor_, discarded, sizeof discarded, MSG_DONTWAIT);
      if (count == 0) break;
      if (count > 0)
        bytes += static_cast<size_t>(count);
      else if (errno != EAGAIN && errno != EWOULDBLOCK)
        break;
      else
        std::this_thread::sleep_for(Milliseconds(5));
    }
    ::shutdown(descriptor_, SHUT_RDWR);
  }

 private:
  void begin_head() {
    bytes_left_ = kMaxHead_bytes;
    deadline_ = Clock::now() + kHeadTimeout;
  }
  void shut() { ::shutdown(descriptor_, SHUT_RDWR); }

  std::mutex mutex_;
  int descriptor_ = -1;
  size_t bytes_left_ = 0;
  Clock::time_point deadline_;
  bool close_ = false;  // of the worker's own thread
};

// The connection of this worker thread; null elsewhere.
thread_local Watched* t_connection = nullptr;
// This worker only says that there are too many connections.
thread_local bool t_overflow = false;

// OpenSSL calls these on the thread that serves the connection.
void on_handshake(const SSL* ssl, int where, int) {
  if (t_connection == nullptr) return;
  if ((where & SSL_CB_HANDSHAKE_START) != 0) t_connection->open(SSL_get_fd(ssl));
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0) t_connection->expect_head();
}
void on_message(int written, int, int content_type, const void* bytes, size_t size, SSL*, void*) {
  if (t_connection == nullptr || written != 0 || content_type != SSL3_RT_HEADER || size < 5) return;
  const auto* record = static_cast<const uint8_t*>(bytes);
  t_connection->received(static_cast<size_t>(record[3]) << 8 | record[4]);
}

// A thread for each connection up to the limit, and two more that turn the next ones away. Beyond
// those, nothing is accepted until one is free.
class Workers final : public httplib::TaskQueue {
 public:
  // From `cut_at` on, which may be set while they work, every connection is shut down.
  Workers(size_t max_connections, const std::atomic<Clock::time_point>& cut_at)
      : max_connections_(max_connections), cut_at_(cut_at) {
    for (size_t i = 0; i < kTurningAway; ++i) add_thread(true);
    watchdog_ = std::thread([this] { watch(); });
  }
  ~Workers() override = default;

  void enqueue(std::function<void()> connection) override {
    std::unique_lock lock(mutex_);
    if (busy_ + waiting_.size() >= max_connections_) {
      freed_.wait(lock, [&] { return overflow_.size() < kMaxOverflow; });
      overflow_.push_back(std::move(connection));
      overflow_filled_.notify_one();
      return;
    }
    waiting_.push_back(std::move(connection));
    if (busy_ + waiting_.size() > threads_.size() - kTurningAway) add_thread(false);
    filled_.notify_one();
  }

  void shutdown() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    filled_.notify_all();
    overflow_filled_.notify_all();
    for (std::thread& thread : threads_) thread.join();
    {
      std::lock_guard lock(mutex_);
      watchdog_stop_ = true;
    }
    watchdog_.join();
  }

 private:
  static constexpr size_t kTurningAway = 2, kMaxOverflow = 64;

  void add_thread(bool overflow) {
    watched_.push_back(std::make_unique<Watched>());
    threads_.emplace_back([this, overflow, watched = watched_.back().get()] {
      t_connection = watched;
      t_overflow = overflow;
      work(overflow ? overflow_ : waiting_, overflow ? overflow_filled_ : filled_, overflow);
    });
  }

  void work(std::deque<std::function<void()>>& queue, std::condition_variable& filled,
            bool overflow) {
    std::unique_lock lock(mutex_);
    for (;;) {
      filled.wait(lock, [&] { return stop_ || !queue.empty(); });
      if (queue.empty()) return;
      const std::function<void()> connection = std::move(queue.front());
      queue.pop_front();
      if (!overflow) ++busy_;
      lock.unlock();
      connection();
      t_connection->close();
      lock.lock();
      if (!overflow) --busy_;
      freed_.notify_one();
    }
  }

  void watch() {
    for (;;) {
      std::this_thread::sleep_for(Milliseconds(100));
      std::lock_guard lock(mutex_);
      if (watchdog_stop_) return;
      const auto now = Clock::now();
      for (const auto& watched : watched_) watched->check(now, now >= cut_at_.load());
    }
  }

  const size_t max_connections_;
  const std::atomic<Clock::time_point>& cut_at_;
  std::mutex mutex_;  // guards all below
  std::condition_variable filled_, overflow_filled_, freed_;
  std::deque<std::function<void()>> waiting_, overflow_;
  size_t busy_ = 0;
  bool stop_ = false, watchdog_stop_ = false;
  std::vector<std::unique_ptr<Watched>> watched_;
  std::vector<std::thread> threads_;
  std::thread watchdog_;
};

// --- Bodies

// Memory of all bodies being read or worked on.
class BodyMemory {
 public:
  explicit BodyMemory(size_t bytes) : left_(static_cast<int64_t>(bytes)) {}
  bool take(size_t bytes) {
    if (left_.fetch_sub(static_cast<int64_t>(bytes)) >= static_cast<int64_t>(bytes)) return true;
    give_back(bytes);
    return false;
  }
  void give_back(size_t bytes) { left_ += static_cast<int64_t>(bytes); }

 private:
  std::atomic<int64_t> left_;
};

enum class BodyFate { complete, too_large, no_memory, malformed };

// One body, within its limits.
class BodyReader {
 public:
  BodyReader(BodyMemory& memory, size_t max_bytes) : memory_(memory), max_bytes_(max_bytes) {}
  ~BodyReader() {
    for (Body::Part& part : body_.parts) wipe_text(part.content);
    wipe_text(body_.json);
    memory_.give_back(taken_);
  }
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  BodyFate read(const httplib::Request& request, const httplib::ContentReader& reader) {
    bool whole = false;
    if (request.is_multipart_form_data()) {
      whole = reader(
          [this](const httplib::MultipartFormData& part) {
            if (body_.parts.size() >= kMaxParts) return false;
            body_.parts.push_back({part.name, {}});
            return true;
          },
          [this](const char* bytes, size_t size) {
            return !body_.parts.empty() && append(body_.parts.back().content, bytes, size);
          });
    } else {
      whole = reader(
          [this](const char* bytes, size_t size) { return append(body_.json, bytes, size); });
    }
    if (fate_ == BodyFate::complete && !whole) fate_ = BodyFate::malformed;
    return fate_;
  }

  const Body& body() const { return body_; }

 private:
  static void wipe_text(std::string& text) {
    wipe({reinterpret_cast<uint8_t*>(text.data()), text.size()});
  }

  bool append(std::string& to, const char* bytes, size_t size) {
    if (taken_ + size > max_bytes_)
      fate_ = BodyFate::too_large;
    else if (!memory_.take(size))
      fate_ = BodyFate::no_memory;
    if (fate_ != BodyFate::complete) return false;
    taken_ += size;
    if (to.capacity() - to.size() < size) {  // grown by hand, to wipe what is left behind
      std::string larger;
      larger.reserve(std::max(2 * to.capacity(), to.size() + size));
      larger = to;
      wipe_text(to);
      to.swap(larger);
    }
    to.append(bytes, size);
    return true;
  }

  BodyMemory& memory_;
  const size_t max_bytes_;
  size_t taken_ = 0;
  BodyFate fate_ = BodyFate::complete;
  Body body_;
};

// --- The server

std::string new_request_id() {
  std::array<uint8_t, 12> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

// Two descriptors for each connection, where the machine allows it.
void allow_descriptors(size_t max_connections) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur =
      std::min(limit.rlim_max, std::max<rlim_t>(limit.rlim_cur, 2 * max_connections + 512));
  setrlimit(RLIMIT_NOFILE, &limit);
}

bool set_up_tls(SSL_CTX& context, const HttpsOptions& options) {
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  SSL_CTX_set_options(&context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_info_callback(&context, on_handshake);
  SSL_CTX_set_msg_callback(&context, on_message);
  return SSL_CTX_use_certificate_chain_file(&context, options.certificate.c_str()) == 1 &&
         SSL_CTX_use_PrivateKey_file(&context, options.private_key.c_str(), SSL_FILETYPE_PEM) ==
             1 &&
         SSL_CTX_check_private_key(&context) == 1;
}

class RunningHttpsServer final : public HttpsServer {
 public:
  RunningHttpsServer(const HttpsOptions& options, Site& site, RequestObserver observer)
      : options_(options),
        site_(site),
        observer_(std::move(observer)),
        memory_(kBodiesTogether * options.max_body_bytes),
        server_([this](SSL_CTX& context) { return set_up_tls(context, options_); }) {}
  ~RunningHttpsServer() override { drain(0); }

  Status start() {
    if (!server_.is_valid())
      return make_error(ErrorCode::invalid_argument,
                        "{} and {} are not a certificate and its private key in PEM",
                        options_.certificate.string(), options_.private_key.string());
    configure();
    allow_descriptors(options_.max_connections);
    const auto address = transport::parse_address(options_.listen);
    if (!address)
      return make_error(ErrorCode::invalid_argument,
                        "'{}' is not an address like 127.0.0.1:8443 or [::1]:8443",
                        options_.listen);
    if (address->port == 0)
      port_ = server_.bind_to_any_port(address->host);
    else
      port_ = server_.bind_to_port(address->host, address->port) ? address->port : -1;
    if (port_ < 0)
      return make_error(ErrorCode::busy,
                        "cannot listen on {}: another program has the port, or the address is not "
                        "of this machine",
                        options_.listen);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(Milliseconds(1));
    return {};
  }

  int port() const override { return port_; }

  void drain(int64_t timeout_ms) override {
    if (!thread_.joinable()) return;
    cut_at_ = Clock::now() + Milliseconds(timeout_ms);
    server_.stop();
    thread_.join();
  }

 private:
  void configure() {
    server_.new_task_queue = [this] { return new Workers(options_.max_connections, cut_at_); };
    server_.set_socket_options([](int descriptor) {
      const int yes = 1;  // not SO_REUSEPORT: a second server would take half of the connections
      setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_tcp_nodelay(true);
    server_.set_keep_alive_max_count(1000);
    server_.set_keep_alive_timeout(
        std::chrono::duration_cast<std::chrono::seconds>(kHeadTimeout).count() - 1);
    server_.set_read_timeout(kStall_s);
    server_.set_write_timeout(kStall_s);
    server_.set_payload_max_length(options_.max_body_bytes);
    server_.set_logger([](const httplib::Request&, const httplib::Response&) {
      if (t_connection == nullptr) return;
      t_connection->linger_if_closing();
      t_connection->expect_head();
    });
    server_.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
      if (!response.body.empty()) return;
      Head head;
      head.request_id = new_request_id();
      head.method = request.method;
      write(RestApi::problem(head, response.status, "invalid_argument",
                             "this is no request that the edge understands"),
            head, response);
      if (t_connection != nullptr) t_connection->close_after_answer();
    });
    const auto with_reader = [this](const httplib::Request& request, httplib::Response& response,
                                    const httplib::ContentReader& reader) {
      handle(request, response, &reader);
    };
    const auto without = [this](const httplib::Request& request, httplib::Response& response) {
      handle(request, response, nullptr);
    };
    server_.Get(".*", without).Options(".*", without).Delete(".*", without);
    server_.Post(".*", with_reader).Put(".*", with_reader);
    server_.Patch(".*", with_reader).Delete(".*", with_reader);
  }

  static void write(const Response& from, const Head& head, httplib::Response& to) {
    to.status = from.status;
    to.set_header("X-Request-Id", head.request_id);
    to.set_header("Cache-Control", "no-store");
    to.set_header("X-Content-Type-Options", "nosniff");
    to.set_header("Content-Security-Policy",
                  "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    if (from.status == 401) to.set_header("WWW-Authenticate", "Bearer");
    if (from.retry_after_s > 0) to.set_header("Retry-After", std::to_string(from.retry_after_s));
    for (const auto& [name, value] : from.headers) {
      to.headers.erase(name);
      to.set_header(name, value);
    }
    if (!from.body.empty()) to.set_content(from.body, from.content_type);
  }

  void handle(const httplib::Request& request, httplib::Response& response,
              const httplib::ContentReader* reader) {
    const auto start = Clock::now();
    Head head;
    head.method = request.method;
    head.path = request.path;
    head.authorization = request.get_header_value("Authorization");
    head.idempotency_key = request.get_header_value("Idempotency-Key");
    head.content_type = request.get_header_value("Content-Type");
    transport::set_request_id(request.get_header_value("X-Request-Id"));
    if (transport::request_id().empty()) transport::set_request_id(new_request_id());
    head.request_id = transport::request_id();

    head.cookie = request.get_header_value("Cookie");
    head.csrf_token = request.get_header_value("X-CSRF-Token");

    Visit visit;
    Response answer;
    try {
      answer = respond(request, head, visit, reader);
    } catch (const std::exception& exception) {
      if (t_connection != nullptr) t_connection->close_after_answer();
      answer = RestApi::problem(
          head, make_error(ErrorCode::internal, "internal error: {}", exception.what()));
    }
    write(answer, head, response);
    if (!observer_) return;
    ServedRequest served;
    served.method = head.method;
    served.path = visit.path;
    served.request_id = head.request_id;
    served.caller = visit.caller;
    served.status = answer.status;
    served.duration_us =
        std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
    observer_(served);
  }

  // Decides before the body is read, reads it, answers. A body that is not read through ends the
  // connection.
  Response respond(const httplib::Request& request, const Head& head, Visit& visit,
                   const httplib::ContentReader* reader) {
    const bool has_body = reader != nullptr;
    const auto refuse = [&](Response response) {
      if (has_body && t_connection != nullptr) t_connection->close_after_answer();
      return response;
    };
    if (t_overflow) {
      if (t_connection != nullptr) t_connection->close_after_answer();
      return RestApi::problem(head, 503, "busy", "the edge has too many connections; try again");
    }
    Response refusal;
    if (!site_.receive(head, visit, refusal)) return refuse(refusal);
    if (request.has_header("Content-Encoding"))
      return refuse(RestApi::problem(head, 415, "unsupported_media_type",
                                     "send the body as it is, without Content-Encoding"));
    if (request.get_header_value<uint64_t>("Content-Length") > options_.max_body_bytes)
      return refuse(too_large(head));
    t_connection->expect_body(options_.max_body_bytes, Milliseconds(options_.request_timeout_ms));
    BodyReader body(memory_, options_.max_body_bytes);
    if (has_body) {
      switch (body.read(request, *reader)) {
        case BodyFate::complete:
          break;
        case BodyFate::too_large:
          return refuse(too_large(head));
        case BodyFate::no_memory:
          return refuse(RestApi::problem(head, 503, "busy",
                                         "the edge has no memory for another body now; try again"));
        case BodyFate::malformed:
          return refuse(RestApi::problem(head, 400, "invalid_argument",
                                         "the body is incomplete, came too slowly or breaks its "
                                         "form"));
      }
    }
    // Now it is our turn: the sender is not cut off while we work.
    t_connection->expect_body(0, Milliseconds(2 * options_.request_timeout_ms));
    return visit.answer(body.body());
  }

  Response too_large(const Head& head) const {
    return RestApi::problem(head, 413, "too_large",
                            fmt::format("a body has at most {} bytes", options_.max_body_bytes));
  }

  const HttpsOptions options_;
  Site& site_;
  const RequestObserver observer_;
  BodyMemory memory_;
  std::atomic<Clock::time_point> cut_at_{Clock::time_point::max()};
  httplib::SSLServer server_;
  std::thread thread_;
  int port_ = -1;
};

}  // namespace

Result<std::unique_ptr<HttpsServer>> HttpsServer::start(const HttpsOptions& options, Site& site,
                                                        RequestObserver observer) {
  struct stat status {};
  if (stat(options.private_key.c_str(), &status) == 0 && (status.st_mode & 0077) != 0)
    return make_error(ErrorCode::refused,
                      "{} can be read by others than its owner; correct it with 'chmod 600'",
                      options.private_key.string());
  auto server = std::make_unique<RunningHttpsServer>(options, site, std::move(observer));
  BAUTA_CHECK(server->start());
  return std::unique_ptr<HttpsServer>(std::move(server));
}

}  // namespace bauta::rest
