#include "services/rest/https_client.h"

#include <chrono>
#include <csignal>

#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

namespace bauta::rest {
namespace {

using Clock = std::chrono::steady_clock;

constexpr time_t kTimeout_s = 60;
// The edge closes idle connections soon after.
constexpr std::chrono::seconds kMaxIdle(5);

Result<ClientReply> to_reply(const httplib::Result& result) {
  if (!result)
    return make_error(ErrorCode::unavailable, "the edge does not answer: {}",
                      httplib::to_string(result.error()));
  return ClientReply{result->status, result->body,
                     static_cast<int>(result->get_header_value<uint64_t>("Retry-After"))};
}

}  // namespace

struct HttpsClient::Connection {
  Connection(const std::string& host, int port) : client(host, port) {}

  // The connection for another request: a new one, when the last is idle for long.
  httplib::SSLClient& ready() {
    if (Clock::now() - last_use > kMaxIdle) client.stop();
    last_use = Clock::now();
    return client;
  }

  httplib::SSLClient client;
  httplib::Headers headers;
  Clock::time_point last_use;
};

HttpsClient::HttpsClient(const std::string& host, int port, const std::filesystem::path& authority,
                         std::string api_key)
    : connection_(std::make_unique<Connection>(host, port)) {
  std::signal(SIGPIPE, SIG_IGN);  // a connection that the edge closed is an error, not the end
  httplib::SSLClient& client = connection_->client;
  client.set_ca_cert_path(authority.c_str());
  client.enable_server_certificate_verification(true);
  client.set_keep_alive(true);
  client.set_tcp_nodelay(true);
  client.set_connection_timeout(kTimeout_s);
  client.set_read_timeout(kTimeout_s);
  client.set_write_timeout(kTimeout_s);
  connection_->headers.emplace("Authorization", "Bearer " + std::move(api_key));
}

HttpsClient::~HttpsClient() = default;

Result<ClientReply> HttpsClient::get(const std::string& path) {
  return to_reply(connection_->ready().Get(path, connection_->headers));
}

Result<ClientReply> HttpsClient::remove(const std::string& path) {
  return to_reply(connection_->ready().Delete(path, connection_->headers));
}

Result<ClientReply> HttpsClient::post_json(const std::string& path, const std::string& json) {
  return to_reply(connection_->ready().Post(path, connection_->headers, json, "application/json"));
}

Result<ClientReply> HttpsClient::post_images(
    const std::string& path, const std::vector<std::pair<std::string, std::string>>& fields,
    const std::vector<Bytes>& images) {
  httplib::MultipartFormDataItems parts;
  for (const auto& [name, value] : fields) parts.push_back({name, value, "", ""});
  for (const Bytes& image : images)
    parts.push_back({"image", std::string(as_text(image)), "image", "application/octet-stream"});
  return to_reply(connection_->ready().Post(path, connection_->headers, parts));
}

}  // namespace bauta::rest
