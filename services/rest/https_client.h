// A device's side of the HTTPS interface: what benchmarks and checks ask with. One connection, kept
// alive; not thread-safe.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace bauta::rest {

struct ClientReply {
  int status = 0;
  std::string body;
  int retry_after_s = 0;  // of the header Retry-After; 0: there is none
};

class HttpsClient {
 public:
  // The server's certificate must be of this authority (PEM) and for `host`.
  HttpsClient(const std::string& host, int port, const std::filesystem::path& authority,
              std::string api_key);
  ~HttpsClient();

  // Errors: unavailable, when there is no connection or it broke; any status is a reply.
  Result<ClientReply> get(const std::string& path);
  Result<ClientReply> remove(const std::string& path);
  Result<ClientReply> post_json(const std::string& path, const std::string& json);
  // As multipart/form-data: text fields, then a part `image` for each image.
  Result<ClientReply> post_images(const std::string& path,
                                  const std::vector<std::pair<std::string, std::string>>& fields,
                                  const std::vector<Bytes>& images);

 private:
  struct Connection;
  std::unique_ptr<Connection> connection_;
};

}  // namespace bauta::rest
