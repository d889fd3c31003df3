// `bauta-auth CONFIG`, the process of the authentication server: a program of its own, because it
// must contain nothing that decrypts. `bauta serve --role auth` runs it.

#include <cstdio>
#include <exception>

#include "base/file.h"
#include "network/model_folder.h"
#include "network/network.h"
#include "services/auth/auth_server.h"
#include "services/auth/collection.h"
#include "services/auth/grant_follower.h"
#include "services/run/config.h"
#include "services/run/observer.h"
#include "services/run/process.h"
#include "services/transport/client.h"
#include "services/transport/server.h"

namespace {

using namespace bauta;

// What is missing costs image mode, not the server.
std::vector<Bytes> read_networks(const std::vector<std::string>& names) {
  std::vector<Bytes> networks;
  const auto read = [&](const std::string& name) -> Status {
    BAUTA_TRY(const std::filesystem::path path, network::patchnet_file(name));
    BAUTA_TRY(Bytes bytes, read_file(path, network::kMaxFileBytes));
    networks.push_back(std::move(bytes));
    return {};
  };
  for (const std::string& name : names)
    if (const Status done = read(name); !done.ok())
      fmt::print(stderr, "bauta-auth: no encrypted images for network {}: {}\n", name,
                 done.error().message);
  return networks;
}

Status serve(const char* file) {
  BAUTA_TRY(const run::Config config, run::read_config(file));
  // Before the change of user, who may not be able to read them.
  const std::vector<Bytes> networks = read_networks(config.auth.networks);
  BAUTA_CHECK(run::become_user(config.auth.user));
  transport::ClientOptions to_keys;
  to_keys.address = config.auth.key_service;
  to_keys.tls = config.auth.tls;
  BAUTA_TRY(const std::unique_ptr<KeyService> keys, transport::connect_key(to_keys));
  const size_t threads =
      config.auth.threads > 0 ? static_cast<size_t>(config.auth.threads) : available_processors();
  BAUTA_TRY(
      const std::unique_ptr<auth::AuthServer> auth,
      auth::AuthServer::open(config.data / "auth", *keys, threads, auth::Admission::on_arrival,
                             static_cast<size_t>(config.auth.image_requests)));
  for (const Bytes& network : networks) BAUTA_CHECK(auth->add_network(network));
  BAUTA_CHECK(auth->resume_renewals());
  // A key service that is away is asked again; whoever needs it hears of it.
  const run::Periodically renewals(std::chrono::seconds(1), [&] { (void)auth->renew_due(); });
  BAUTA_TRY(const std::unique_ptr<auth::Collection> collection,
            auth::Collection::open(config.data / "auth"));
  BAUTA_TRY(const std::unique_ptr<auth::GrantFollower> grants,
            auth::GrantFollower::open(config.data / "auth", *keys));
  BAUTA_TRY(const std::unique_ptr<run::Observer> observer,
            run::Observer::create("auth", config.log, config.auth.metrics_listen));
  observer->watch("bauta_references_not_compared",
                  "References that searches leave out because their segments are damaged",
                  [raw = auth.get()] { return static_cast<double>(raw->not_compared()); });
  BAUTA_TRY(const std::unique_ptr<transport::Server> server,
            transport::Server::serve_auth(
                {config.auth.listen,
                 config.auth.tls,
                 transport::kMaxConcurrentCalls,
                 {&grants->grants(),
                  [&](const std::string& gallery) { return grants->tenant_of_gallery(gallery); },
                  [&](const std::string& key_id) { return grants->tenant_of_key(key_id); }}},
                *auth, observer->of_calls(), collection.get()));
  run::announce_ready(fmt::format("the authentication server on port {}", server->port()));
  run::wait_for_stop();
  server->drain(config.drain_timeout_ms);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: bauta-auth CONFIG\n");
    return 2;
  }
  run::hold_signals();
  run::share_heaps();
  try {
    const Status status = serve(argv[1]);
    if (status.ok()) return 0;
    fmt::print(stderr, "bauta-auth: {}\n", status.error().message);
  } catch (const std::exception& exception) {
    fmt::print(stderr, "bauta-auth: internal error: {}\n", exception.what());
  }
  return 1;
}
