#include "apps/cli/served_deployment.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/random.h"
#include "services/run/process.h"
#include "services/transport/certificates.h"
#include "services/transport/client.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEdge = "bench";

// Sockets that hold free ports of loopback until they are closed.
class FreePort {
 public:
  FreePort() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    if (bind(descriptor_, reinterpret_cast<sockaddr*>(&address_), size) == 0)
      getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address_), &size);
  }
  ~FreePort() { close(descriptor_); }
  FreePort(const FreePort&) = delete;
  FreePort& operator=(const FreePort&) = delete;
  std::string address() const { return fmt::format("127.0.0.1:{}", ntohs(address_.sin_port)); }

 private:
  int descriptor_;
  sockaddr_in address_{};
};

int port_of(const std::string& address) {
  return std::atoi(address.c_str() + address.rfind(':') + 1);
}

}  // namespace

Result<std::unique_ptr<ServedDeployment>> ServedDeployment::start(const std::string& engine,
                                                                  const std::string& detector) {
  BAUTA_TRY(TemporaryDirectory directory, TemporaryDirectory::create());
  std::unique_ptr<ServedDeployment> deployment(new ServedDeployment(std::move(directory)));
  BAUTA_CHECK(deployment->write_config(engine, detector));
  BAUTA_CHECK(deployment->start_process());
  return deployment;
}

Status ServedDeployment::write_config(const std::string& engine, const std::string& detector) {
  const FreePort key, auth, edge;
  config_.data = directory_.path() / "data";
  config_.token = directory_.path() / "token";
  config_.key.listen = config_.auth.key_service = config_.edge.key_service = key.address();
  config_.auth.listen = config_.edge.auth_service = auth.address();
  config_.edge.listen = edge.address();
  config_.log = run::LogLevel::errors;
  config_.edge.engine = engine;
  config_.edge.detector = detector;
  Bytes random(16);
  random_bytes(random);
  api_key_ = to_hex(random);
  config_.edge.api_keys = {{"bench", "admin", sha256(as_bytes(api_key_))}};
  BAUTA_CHECK(create_directory(config_.data, 0700));
  const fs::path file = config_.data / "bauta.toml";
  BAUTA_CHECK(write_file_atomically(file, as_bytes(run::to_toml(config_))));
  BAUTA_TRY(config_, run::read_config(file));
  return {};
}

Status ServedDeployment::start_process() {
  int ends[2];
  if (pipe2(ends, 0) != 0)
    return make_error(ErrorCode::unavailable, "cannot make a pipe: {}", std::strerror(errno));
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  const std::string file = (config_.data / "bauta.toml").string();
  const std::string descriptor = std::to_string(ends[1]);
  process_ = fork();
  if (process_ == 0) {
    run::end_with_parent();
    setenv("BAUTA_READY_FD", descriptor.c_str(), 1);
    execl("/proc/self/exe", "bauta", "serve", "--config", file.c_str(),
          static_cast<char*>(nullptr));
    _exit(1);
  }
  close(ends[1]);
  char byte = 0;
  const bool ready = process_ > 0 && read(ends[0], &byte, 1) == 1;
  close(ends[0]);
  if (!ready)
    return make_error(
        ErrorCode::unavailable,
        "the roles of a deployment on loopback did not start; what 'bauta serve' said "
        "on stderr tells why");
  return {};
}

ServedDeployment::~ServedDeployment() {
  edge_.reset();
  edge_keys_.reset();
  auth_.reset();
  if (process_ > 0) {
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }
}

rest::HttpsClient ServedDeployment::connect_device() const {
  return {"localhost", port_of(config_.edge.listen), config_.data / "tls/ca.pem", api_key_};
}

Result<rest::Desk*> ServedDeployment::open_edge() {
  if (edge_ != nullptr) return edge_.get();
  transport::ClientOptions to;
  BAUTA_TRY(to.tls,
            transport::issue_certificate(config_.data / "tls", {kEdge, {}}, config_.data / "tls"));
  to.address = config_.edge.auth_service;
  BAUTA_TRY(auth_, transport::connect_auth(to));
  to.address = config_.edge.key_service;
  BAUTA_TRY(edge_keys_, transport::connect_edge_keys(to));
  rest::DeskOptions options{kEdge, config_.edge.tenant, config_.edge.engine, config_.edge.detector,
                            directory_.path() / "bench-keys"};
  BAUTA_TRY(edge_, rest::Desk::open(options, *auth_, *edge_keys_));
  return edge_.get();
}

}  // namespace bauta::cli
