#include "apps/cli/served_deployment.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

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

// Has a contract and reads no image.
class TemplateEngine final : public face::Engine {
 public:
  explicit TemplateEngine(size_t dimension) {
    contract_.engine = "random templates";
    contract_.dimension = static_cast<uint32_t>(dimension);
    contract_.metric = "cosine";
    contract_.normalisation = "unit";
    contract_.threshold_verify = contract_.threshold_identify = 0.6;
  }
  const face::EmbeddingContract& contract() const override { return contract_; }
  Result<face::Embedding> extract(const face::AlignedFace&) const override {
    return make_error(ErrorCode::internal, "templates of this edge come from no image");
  }

 private:
  face::EmbeddingContract contract_;
};

class NoDetector final : public face::Detector {
 public:
  std::string_view name() const override { return "none"; }
  Result<std::vector<face::DetectedFace>> detect(const face::Image&) const override {
    return std::vector<face::DetectedFace>();
  }
};

std::string text_of(int process, const char* file) {
  std::ifstream stream(fmt::format("/proc/{}/{}", process, file));
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string role_of(int process) {
  const std::string arguments = text_of(process, "cmdline");
  for (const char* role : {"auth", "key"})
    if (arguments.find(fmt::format("bauta-{}", role)) != std::string::npos ||
        arguments.find(fmt::format("--role{}{}", '\0', role)) != std::string::npos)
      return role;
  return "edge";
}

// In user and kernel mode: fields 14 and 15 of stat, in clock ticks; the name before them may hold
// anything.
double processor_seconds(int process) {
  const std::string stat = text_of(process, "stat");
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, kernel = 0;
  fields >> user >> kernel;
  return (user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

int port_of(const std::string& address) {
  return std::atoi(address.c_str() + address.rfind(':') + 1);
}

}  // namespace

Result<std::unique_ptr<ServedDeployment>> ServedDeployment::start(const ServedOptions& options) {
  BAUTA_TRY(TemporaryDirectory directory, TemporaryDirectory::create());
  std::unique_ptr<ServedDeployment> deployment(new ServedDeployment(std::move(directory)));
  BAUTA_CHECK(deployment->write_config(options));
  BAUTA_CHECK(deployment->start_process());
  BAUTA_CHECK(deployment->start_relays(options.network));
  return deployment;
}

Status ServedDeployment::start_relays(const NetworkProfile& network) {
  edge_port_ = port_of(config_.edge.listen);
  auth_address_ = config_.edge.auth_service;
  if (network.none()) return {};
  BAUTA_TRY(to_edge_, NetworkRelay::start(edge_port_, network));
  BAUTA_TRY(to_auth_, NetworkRelay::start(port_of(auth_address_), network));
  edge_port_ = to_edge_->port();
  auth_address_ = fmt::format("127.0.0.1:{}", to_auth_->port());
  return {};
}

Status ServedDeployment::write_config(const ServedOptions& options) {
  const FreePort key, auth, edge;
  config_.data = directory_.path() / "data";
  config_.token = directory_.path() / "token";
  config_.key.listen = config_.auth.key_service = config_.edge.key_service = key.address();
  config_.auth.listen = config_.edge.auth_service = auth.address();
  config_.edge.listen = edge.address();
  config_.log = run::LogLevel::none;
  config_.edge.engine = options.engine;
  config_.edge.detector = options.detector;
  api_key_ = random_hex(16);
  config_.edge.api_keys = {{"bench", "admin", sha256(as_bytes(api_key_))}};
  BAUTA_CHECK(create_directory(config_.data, 0700));
  if (options.decisions_per_minute > 0) {
    BAUTA_CHECK(create_directory(config_.data / "key", 0700));
    const Json policy = {{"decisions_per_minute", options.decisions_per_minute}};
    BAUTA_CHECK(write_file_atomically(config_.data / "key/policy.json", as_bytes(policy.dump())));
  }
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
  operator_.reset();
  operator_keys_.reset();
  edge_.reset();
  edge_keys_.reset();
  auth_.reset();
  if (process_ > 0) {
    kill(process_, SIGTERM);
    waitpid(process_, nullptr, 0);
  }
}

rest::HttpsClient ServedDeployment::connect_device() const {
  return {"localhost", edge_port_, config_.data / "tls/ca.pem", api_key_};
}

// The processes take note of it soon.
Status ServedDeployment::give_rights() {
  CommonOptions options;
  options.data = config_.data;
  options.token = config_.token;
  BAUTA_TRY(const std::unique_ptr<key::KeyServer> key, open_key_service(options));
  BAUTA_CHECK(key->grant_book().give_first({{kEdge, "*", "*", grants::kAllRights}}));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  return {};
}

Status ServedDeployment::connect_servers() {
  if (auth_ != nullptr) return {};
  transport::ClientOptions to;
  BAUTA_TRY(to.tls,
            transport::issue_certificate(config_.data / "tls", {kEdge, {}}, config_.data / "tls"));
  BAUTA_CHECK(give_rights());
  to.address = auth_address_;
  BAUTA_TRY(auth_, transport::connect_auth(to));
  to.address = config_.edge.key_service;
  BAUTA_TRY(edge_keys_, transport::connect_edge_keys(to));
  return {};
}

Result<rest::Desk*> ServedDeployment::open_edge() {
  if (edge_ != nullptr) return edge_.get();
  BAUTA_CHECK(connect_servers());
  rest::DeskOptions options{kEdge, config_.edge.tenant, config_.edge.engine, config_.edge.detector,
                            directory_.path() / "bench-keys"};
  BAUTA_TRY(edge_, rest::Desk::open(options, *auth_, *edge_keys_));
  return edge_.get();
}

Status ServedDeployment::get_template_seed() {
  v1::GetActiveKeyRequest tenant;
  tenant.set_tenant(config_.edge.tenant);
  BAUTA_TRY(const v1::ActiveKey key, edge_keys_->get_active_key(tenant));
  template_key_id_ = key.key_id();
  v1::GetEdgeKeyRequest own;
  own.set_key_id(key.key_id());
  own.set_edge_id(kEdge);
  BAUTA_TRY(const v1::EdgeKey delivered, edge_keys_->get_edge_key(own));
  BAUTA_TRY(template_seed_, SecretBytes::create(delivered.seed().size()));
  std::ranges::copy(delivered.seed(), template_seed_->data());
  return {};
}

Result<std::unique_ptr<edge::Edge>> ServedDeployment::open_template_edge(const std::string& gallery,
                                                                         size_t dimension) {
  BAUTA_CHECK(connect_servers());
  const bool first = !template_seed_;
  if (first) BAUTA_CHECK(get_template_seed());
  BAUTA_TRY(std::unique_ptr<edge::Edge> edge,
            edge::Edge::create(kEdge, template_key_id_, *template_seed_,
                               std::make_unique<TemplateEngine>(dimension),
                               std::make_unique<NoDetector>(), *auth_));
  if (first) BAUTA_CHECK(edge->create_gallery(gallery));
  return edge;
}

Status ServedDeployment::enrol_block(const std::string& gallery, const edge::Edge& edge,
                                     std::span<const std::string> subjects,
                                     std::span<const float> rows) {
  ThreadPool threads(available_processors());
  if (operator_ == nullptr) {
    transport::ClientOptions to_keys;
    to_keys.address = config_.auth.key_service;
    to_keys.tls = config_.auth.tls;
    BAUTA_TRY(operator_keys_, transport::connect_key(to_keys));
    BAUTA_TRY(operator_,
              auth::AuthServer::open(config_.data / "auth", *operator_keys_, available_processors(),
                                     auth::Admission::on_arrival));
  }
  BAUTA_TRY(const v1::EnrolBlockRequest request,
            edge.encrypt_block(gallery, subjects, rows, threads));
  return operator_->enrol_block(request);
}

ServedDeployment::Usage ServedDeployment::usage() const {
  Usage usage;
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", process_));
  for (int process = 0; children >> process;) {
    std::ifstream status(fmt::format("/proc/{}/status", process));
    uint64_t kilobytes = 0;
    for (std::string field; status >> field;) {
      if (field == "VmRSS:" && status >> kilobytes) usage.resident_bytes += kilobytes << 10;
      if (field == "VmHWM:" && status >> kilobytes) usage.peak_bytes += kilobytes << 10;
    }
    usage.processor_s[role_of(process)] += processor_seconds(process);
  }
  return usage;
}

}  // namespace bauta::cli
