// The roles as processes: `bauta serve`.

#include <cerrno>
#include <cstring>

#include <unistd.h>

#include "apps/cli/arguments.h"
#include "base/file.h"
#include "base/secret.h"
#include "base/thread_pool.h"
#include "keys/embedded_token.h"
#include "keys/key_store.h"
#include "services/key/edge_keys.h"
#include "services/key/key_server.h"
#include "services/key/oversight.h"
#include "services/key/upkeep.h"
#include "services/linkage/site.h"
#include "services/rest/https_server.h"
#include "services/rest/json.h"
#include "services/rest/rest_api.h"
#include "services/run/deployment_files.h"
#include "services/run/observer.h"
#include "services/run/process.h"
#include "services/run/supervisor.h"
#include "services/storage/storage_server.h"
#include "services/transport/client.h"
#include "services/transport/server.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kKeyUpkeepPeriod(500);

// A tenant whose key is suspended or destroyed goes without; the others are served all the same.
Status give_first_keys(key::KeyServer& key, const std::vector<std::string>& tenants) {
  for (const std::string& tenant : tenants) {
    const Status given = key.give_first_key(tenant);
    if (given.ok()) continue;
    if (given.error().code != ErrorCode::refused) return given;
    fmt::print(stderr, "bauta: tenant '{}' is not served: {}\n", tenant, given.error().message);
  }
  return {};
}

// The edge and the linkage server whose certificates were made here, each once.
Status give_first_grants(key::KeyServer& key, const run::Config& config) {
  const fs::path certificates = config.data / "tls";
  std::error_code ignored;
  std::vector<std::vector<grants::Grant>> first;
  if (fs::exists(certificates / (config.edge.id + ".pem"), ignored))
    first.push_back(
        {{config.edge.id, config.edge.tenant, std::string(grants::kEvery), grants::kAllRights}});
  if (fs::exists(certificates / "linkage.pem", ignored)) {
    std::vector<grants::Grant> of_linkage;
    for (const std::string& gallery : run::linked_galleries(config))
      of_linkage.push_back(
          {std::string(transport::kLinkageName), config.edge.tenant, gallery, grants::kAllRights});
    if (!of_linkage.empty()) first.push_back(of_linkage);
  }
  for (const std::vector<grants::Grant>& of_edge : first) {
    BAUTA_TRY(const bool given, key.grant_book().give_first(of_edge));
    for (const grants::Grant& grant : of_edge)
      if (given)
        fmt::print(stderr, "bauta: first start: '{}' may do everything on gallery '{}'\n",
                   grant.edge, grant.gallery);
  }
  return {};
}

Status serve_key(const run::Config& config) {
  BAUTA_CHECK(run::become_user(config.key.user));
  BAUTA_CHECK(harden_process());
  std::error_code ignored;
  if (fs::exists(config.data / "key" / "keys.json", ignored) && !fs::exists(config.token, ignored))
    return make_error(ErrorCode::not_found,
                      "the token {} is gone, whose keys {} speaks of; put it back, or restore the "
                      "keys into another by 'bauta keys restore'",
                      config.token.string(), (config.data / "key" / "keys.json").string());
  BAUTA_CHECK(keys::create_embedded_token(config.token));
  BAUTA_TRY(std::unique_ptr<keys::Token> token,
            keys::Token::open(keys::embedded_token_config(config.token)));
  BAUTA_TRY(std::unique_ptr<keys::KeyStore> store,
            keys::KeyStore::open(std::move(token), config.data / "key"));
  BAUTA_TRY(const std::unique_ptr<key::KeyServer> key,
            key::KeyServer::open(std::move(store), config.data / "key"));
  BAUTA_CHECK(give_first_keys(*key, config.key.tenants));
  BAUTA_CHECK(give_first_grants(*key, config));
  BAUTA_TRY(const std::unique_ptr<key::EdgeKeyServer> edge_keys,
            key::EdgeKeyServer::open(key->store(), config.data / "key" / "delivered"));
  key::Oversight oversight(key->store(), config.data / "key");
  BAUTA_TRY(const std::unique_ptr<run::Observer> observer,
            run::Observer::create("key", config.log, config.key.metrics_listen));
  key::Upkeep upkeep(
      *key, [&](const std::string& sentence) { observer->warn(sentence); }, kKeyUpkeepPeriod);
  BAUTA_CHECK(key->check_ready());
  observer->watch("bauta_key_budget_used_ratio",
                  "Share of the budget that is used, of the active key with the least left",
                  [&] { return upkeep.fullest(); });
  observer->watch("bauta_key_ready", "Whether every active key can be derived and has budget left",
                  [&] { return upkeep.ready().ok() ? 1.0 : 0.0; });
  const auto tenant_of_key = [&](const std::string& key_id) -> std::optional<std::string> {
    const Result<keys::KeyId> id = key::parse_key_id(key_id);
    if (!id.ok()) return std::nullopt;
    const Result<keys::KeyRecord> record = key->store().find(*id);
    return record.ok() ? std::optional(record->tenant) : std::nullopt;
  };
  transport::ServerOptions options{config.key.listen, config.key.tls};
  options.access = {&key->grants(), {}, tenant_of_key};
  BAUTA_TRY(
      const std::unique_ptr<transport::Server> server,
      transport::Server::serve_key(options, *key, *edge_keys, observer->of_calls(), &oversight));
  run::announce_ready(fmt::format("the key service on port {}", server->port()));
  run::wait_for_stop();
  server->drain(config.drain_timeout_ms);
  return {};
}

// The observer must outlive the server.
rest::RequestObserver observe_requests(run::Observer& observer) {
  return [&observer](const rest::ServedRequest& served) {
    observer.record({fmt::format("{} {}", served.method, served.path), served.caller,
                     served.request_id, std::to_string(served.status), served.status >= 500,
                     served.duration_us});
  };
}

rest::Access access_of(const std::string& role) {
  return role == "admin"   ? rest::Access::admin
         : role == "enrol" ? rest::Access::enrol
                           : rest::Access::recognise;
}

// Null where none is wanted.
Result<std::unique_ptr<rest::Webhook>> start_webhook(const run::EdgeConfig& edge,
                                                     run::Observer& observer) {
  if (edge.webhook_url.empty()) return std::unique_ptr<rest::Webhook>();
  rest::WebhookOptions options;
  options.url = edge.webhook_url;
  options.secret = edge.webhook_secret;
  options.authority = edge.webhook_authority;
  return rest::Webhook::start(options, [&observer](const rest::Delivery& delivery) {
    observer.record({"webhook", "", delivery.request_id, delivery.outcome, delivery.outcome != "ok",
                     delivery.duration_us});
  });
}

Status serve_edge(const run::Config& config) {
  const run::EdgeConfig& edge = config.edge;
  BAUTA_CHECK(run::become_user(edge.user));
  BAUTA_CHECK(harden_process());
  transport::ClientOptions to;
  to.tls = edge.tls;
  to.address = edge.auth_service;
  BAUTA_TRY(const std::unique_ptr<AuthService> auth, transport::connect_auth(to));
  to.address = edge.key_service;
  BAUTA_TRY(const std::unique_ptr<EdgeKeyService> edge_keys, transport::connect_edge_keys(to));

  rest::DeskOptions desk_options{edge.id, edge.tenant, edge.engine, edge.detector,
                                 config.data / "edge" / "keys"};
  desk_options.workers = available_processors();
  desk_options.max_waiting = static_cast<size_t>(edge.max_waiting);
  BAUTA_TRY(const std::unique_ptr<rest::Desk> desk,
            rest::Desk::open(desk_options, *auth, *edge_keys));
  std::vector<rest::Caller> callers;
  for (const run::ApiKey& key : edge.api_keys)
    callers.push_back({key.name, access_of(key.role), key.sha256});
  rest::HttpsOptions https{edge.listen, edge.https_certificate, edge.https_private_key};
  https.max_body_bytes = static_cast<size_t>(edge.max_body_bytes);
  https.max_connections = static_cast<size_t>(edge.max_connections);
  https.request_timeout_ms = edge.request_timeout_ms;
  BAUTA_TRY(const std::unique_ptr<run::Observer> observer,
            run::Observer::create("edge", config.log, edge.metrics_listen));
  BAUTA_TRY(const std::unique_ptr<rest::Webhook> webhook, start_webhook(edge, *observer));
  const auto on_decision = [&](const rest::Decided& decided) {
    const rest::Json timings = rest::to_json(decided.timings);
    for (const auto& [part, milliseconds] : timings.items())
      observer->record_part(part, milliseconds.get<double>() / 1000);
    if (webhook != nullptr) webhook->send(decided);
  };
  rest::RestApi api(*desk, std::move(callers), {static_cast<size_t>(edge.max_images)}, on_decision);
  BAUTA_TRY(const std::unique_ptr<rest::HttpsServer> server,
            rest::HttpsServer::start(https, api, observe_requests(*observer)));
  run::announce_ready(fmt::format("the edge on port {}", server->port()));
  run::wait_for_stop();
  server->drain(config.drain_timeout_ms);
  return {};
}

Status serve_storage(const run::Config& config) {
  BAUTA_CHECK(run::become_user(config.storage.user));
  BAUTA_TRY(const std::unique_ptr<storage::StorageServer> storage,
            storage::StorageServer::open(config.data / "storage"));
  BAUTA_TRY(const std::unique_ptr<run::Observer> observer,
            run::Observer::create("storage", config.log, config.storage.metrics_listen));
  BAUTA_TRY(const std::unique_ptr<transport::Server> server,
            transport::Server::serve_storage({config.storage.listen, config.storage.tls}, *storage,
                                             observer->of_calls()));
  run::announce_ready(fmt::format("the storage server on port {}", server->port()));
  run::wait_for_stop();
  server->drain(config.drain_timeout_ms);
  return {};
}

// The linkage server's connections to one engine.
struct EngineConnections {
  std::unique_ptr<AuthService> auth;
  std::unique_ptr<EdgeKeyService> edge_keys;
  std::unique_ptr<CollectionService> collection;
  std::unique_ptr<OversightService> oversight;
};

Result<EngineConnections> connect(const run::LinkedEngine& engine) {
  transport::ClientOptions to;
  to.tls = engine.tls;
  to.address = engine.auth_service;
  EngineConnections connections;
  BAUTA_TRY(connections.auth, transport::connect_auth(to));
  BAUTA_TRY(connections.collection, transport::connect_collection(to));
  to.address = engine.key_service;
  BAUTA_TRY(connections.edge_keys, transport::connect_edge_keys(to));
  BAUTA_TRY(connections.oversight, transport::connect_oversight(to));
  return connections;
}

linkage::EngineOptions engine_options(const run::Config& config, const run::LinkedEngine& engine) {
  rest::DeskOptions desk{std::string(transport::kLinkageName), engine.tenant, engine.engine,
                         config.linkage.detector,
                         config.data / "linkage" / "engines" / engine.name};
  return {engine.name, engine.title, engine.purposes, std::move(desk), engine.edge_metrics};
}

Result<std::unique_ptr<keys::KeyStore>> open_package_keys(const run::Config& config) {
  BAUTA_CHECK(keys::create_embedded_token(config.linkage.token));
  BAUTA_TRY(std::unique_ptr<keys::Token> token,
            keys::Token::open(keys::embedded_token_config(config.linkage.token)));
  return keys::KeyStore::open(std::move(token), config.data / "linkage");
}

Status serve_linkage(const run::Config& config) {
  const run::LinkageConfig& linkage = config.linkage;
  BAUTA_CHECK(run::become_user(linkage.user));
  BAUTA_CHECK(harden_process());
  transport::ClientOptions to;
  to.tls = linkage.tls;
  to.address = linkage.storage_service;
  BAUTA_TRY(const std::unique_ptr<StorageService> storage, transport::connect_storage(to));
  BAUTA_CHECK(create_directory(config.data / "linkage", 0700));
  BAUTA_CHECK(create_directory(config.data / "linkage" / "engines", 0700));
  std::vector<EngineConnections> connections;
  std::vector<std::unique_ptr<linkage::Engine>> engines;
  for (const run::LinkedEngine& engine : linkage.engines) {
    BAUTA_TRY(EngineConnections connected, connect(engine));
    BAUTA_TRY(std::unique_ptr<linkage::Engine> opened,
              linkage::Engine::open(engine_options(config, engine),
                                    {connected.auth.get(), connected.edge_keys.get(),
                                     connected.collection.get(), connected.oversight.get()}));
    connections.push_back(std::move(connected));
    engines.push_back(std::move(opened));
  }
  BAUTA_TRY(std::unique_ptr<keys::KeyStore> package_keys, open_package_keys(config));
  BAUTA_TRY(const std::unique_ptr<linkage::LinkageServer> server,
            linkage::LinkageServer::open(
                {config.data / "linkage",
                 linkage.detector,
                 linkage.collect_interval_ms,
                 {linkage.backup_interval_s * 1000, static_cast<size_t>(linkage.backups_kept)}},
                std::move(package_keys), *storage, std::move(engines)));
  linkage::SiteOptions site_options{linkage.public_url, {}};
  BAUTA_TRY(const Bytes operator_key, from_hex(linkage.operator_key_sha256));
  std::ranges::copy(operator_key, site_options.operator_key.begin());
  linkage::LinkageSite site(*server, site_options);
  rest::HttpsOptions https{linkage.listen, linkage.https_certificate, linkage.https_private_key};
  https.max_body_bytes = static_cast<size_t>(linkage.max_body_bytes);
  BAUTA_TRY(const std::unique_ptr<run::Observer> observer,
            run::Observer::create("linkage", config.log, linkage.metrics_listen));
  BAUTA_TRY(const std::unique_ptr<rest::HttpsServer> https_server,
            rest::HttpsServer::start(https, site, observe_requests(*observer)));
  run::announce_ready(fmt::format("the linkage server on port {}", https_server->port()));
  run::wait_for_stop();
  https_server->drain(config.drain_timeout_ms);
  return {};
}

// The authentication server is a program of its own, beside this one.
Result<fs::path> auth_program() {
  std::error_code failed;
  const fs::path self = fs::read_symlink("/proc/self/exe", failed);
  const fs::path program = self.parent_path() / "bauta-auth";
  if (failed || access(program.c_str(), X_OK) != 0)
    return make_error(ErrorCode::not_found, "the program {} is missing; it belongs beside bauta",
                      program.string());
  return program;
}

Status become_auth_server(const fs::path& file) {
  BAUTA_TRY(const fs::path program, auth_program());
  execl(program.c_str(), program.c_str(), file.c_str(), static_cast<char*>(nullptr));
  return make_error(ErrorCode::unavailable, "cannot run {}: {}", program.string(),
                    std::strerror(errno));
}

Status serve_all(const fs::path& file, const run::Config& config) {
  BAUTA_CHECK(run::create_missing_files(config));
  BAUTA_CHECK(run::check_files(config));
  BAUTA_TRY(const fs::path auth, auth_program());
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  const auto role = [&](const char* name) {
    return run::Child{name, {self, "serve", "--role", name, "--config", file.string()}};
  };
  std::vector<run::Child> children{
      role("key"), {"auth", {auth.string(), file.string()}}, role("edge")};
  for (const run::LinkedEngine& engine : config.linkage.engines)
    if (!engine.config.empty())
      children.push_back(
          {"engine " + engine.name, {self, "serve", "--config", engine.config.string()}});
  if (!config.linkage.engines.empty()) {
    children.push_back(role("storage"));
    children.push_back(role("linkage"));
  }
  run::SupervisorOptions options;
  options.drain_timeout_ms = config.drain_timeout_ms;
  return run::supervise(children, options, [&] {
    const std::string port = config.edge.listen.substr(config.edge.listen.rfind(':') + 1);
    run::announce_ready(fmt::format("https://localhost:{}", port));
    if (!config.linkage.engines.empty())
      fmt::print(stderr, "bauta: invite people to {} with 'bauta invite'\n",
                 config.linkage.public_url);
  });
}

}  // namespace

Result<Report> serve(const CommonOptions& common, const ServeOptions& options) {
  run::hold_signals();
  run::share_heaps();
  const fs::path file =
      fs::absolute(common.config.empty() ? common.data / "bauta.toml" : common.config);
  if (common.config.empty()) BAUTA_CHECK(run::create_default_config(file, common.token));
  BAUTA_TRY(const run::Config config, run::read_config(file));
  if (options.role == "key") BAUTA_CHECK(serve_key(config));
  if (options.role == "edge") BAUTA_CHECK(serve_edge(config));
  if (options.role == "auth") BAUTA_CHECK(become_auth_server(file));
  if (options.role == "storage") BAUTA_CHECK(serve_storage(config));
  if (options.role == "linkage") BAUTA_CHECK(serve_linkage(config));
  if (options.role == "all") BAUTA_CHECK(serve_all(file, config));
  return Report{};
}

Result<Report> config_check(const CommonOptions& common) {
  const fs::path file = common.config.empty() ? common.data / "bauta.toml" : common.config;
  BAUTA_TRY(const run::Config config, run::read_config(file));
  BAUTA_CHECK(run::check_files(config));
  return Report{{{"config", file.string()}, {"ok", true}},
                fmt::format("{} is in order\n", file.string())};
}

Result<Report> config_init(const CommonOptions& common) {
  const fs::path file = common.data / "bauta.toml";
  BAUTA_CHECK(run::create_default_config(file, common.token));
  return Report{{{"config", file.string()}},
                fmt::format("{} is there; 'bauta serve' starts it\n", file.string())};
}

Result<Report> config_default(const CommonOptions&) {
  const std::string text = run::to_toml(run::Config());
  return Report{{{"toml", text}}, text};
}

}  // namespace bauta::cli
