#include "services/run/deployment_files.h"

#include <cerrno>
#include <cstring>

#include <pwd.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/random.h"
#include "services/transport/address.h"
#include "services/transport/certificates.h"

namespace bauta::run {
namespace {

namespace fs = std::filesystem;

// A role's own directory, certificate and user.
struct RoleFiles {
  fs::path directory;
  std::string name;  // in its certificate
  const transport::TlsFiles* tls;
  std::string user;
  std::vector<std::string> hosts;
};

std::vector<RoleFiles> roles(const Config& config) {
  const auto hosts_of = [](const std::string& listen) {
    std::vector<std::string> hosts{"localhost", "127.0.0.1"};
    const auto address = transport::parse_address(listen);
    if (address && address->host != "127.0.0.1" && address->host != "localhost" &&
        address->host != "0.0.0.0" && address->host != "::")
      hosts.push_back(address->host);
    char name[256] = {};
    if (gethostname(name, sizeof name - 1) == 0 && name[0] != 0 &&
        std::string(name) != hosts.back())
      hosts.emplace_back(name);
    return hosts;
  };
  std::vector<RoleFiles> all{{config.data / "key", "key", &config.key.tls, config.key.user, {}},
                             {config.data / "auth", "auth", &config.auth.tls, config.auth.user, {}},
                             {config.data / "edge", config.edge.id, &config.edge.tls,
                              config.edge.user, hosts_of(config.edge.listen)}};
  if (config.linkage.engines.empty()) return all;
  all.push_back({config.data / "storage", "storage", &config.storage.tls, config.storage.user, {}});
  all.push_back({config.data / "linkage", "linkage", &config.linkage.tls, config.linkage.user,
                 hosts_of(config.linkage.listen)});
  return all;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Gives the file to the user, when root sets up a deployment of several users. Repeated at every
// start, for the one before may have ended too early.
Status hand_over(const fs::path& path, const std::string& user) {
  if (user.empty() || geteuid() != 0) return {};
  const passwd* const entry = getpwnam(user.c_str());
  if (entry == nullptr)
    return make_error(ErrorCode::not_found, "there is no user {} on this machine", user);
  if (lchown(path.c_str(), entry->pw_uid, entry->pw_gid) != 0)
    return make_error(ErrorCode::unavailable, "cannot give {} to {}: {}", path.string(), user,
                      std::strerror(errno));
  return {};
}

// Certificates from before roles stood in them are issued anew, where the authority's key is.
Status bring_forward(const fs::path& authority, const fs::path& certificate) {
  const Result<transport::Party> party = transport::read_party(certificate);
  if (party.ok()) return {};
  if (party.error().code != ErrorCode::refused || !transport::has_authority_key(authority))
    return party.error();
  BAUTA_CHECK(transport::reissue_certificate(authority, certificate));
  fmt::print(stderr, "bauta: {} is issued anew: it says now what its owner is\n",
             certificate.string());
  return {};
}

Status create_role_files(const RoleFiles& role, const fs::path& authority) {
  if (!is_there(role.directory)) BAUTA_CHECK(create_directory(role.directory, 0700));
  BAUTA_CHECK(hand_over(role.directory, role.user));
  // Certificates elsewhere are somebody else's to make.
  if (role.tls->certificate != authority / (role.name + ".pem")) return {};
  if (!is_there(role.tls->certificate))
    BAUTA_CHECK(transport::issue_certificate(authority, {role.name, role.hosts}, authority));
  BAUTA_CHECK(bring_forward(authority, role.tls->certificate));
  const fs::path private_key = authority / (role.name + ".key");
  return is_there(private_key) ? hand_over(private_key, role.user) : Status();
}

Status check_file(const fs::path& path, const char* option) {
  if (is_there(path)) return {};
  return make_error(ErrorCode::not_found, "{} is {}, which does not exist", option, path.string());
}

// The platform's further engines, each a deployment of its own.
struct MoreEngine {
  const char* name;
  const char* title;
  const char* engine;
  int port_offset;
};
constexpr const char* kEdgeMetrics = "127.0.0.1:8445";
constexpr MoreEngine kMoreEngines[] = {{"gradients", "Gradients", "classic", 10},
                                       {"textures", "Textures", "texture", 20}};

std::string with_port(const std::string& address, int offset) {
  const auto parsed = transport::parse_address(address);
  return fmt::format("{}:{}", parsed->host, parsed->port + offset);
}

Config shifted_config(const fs::path& token, const MoreEngine& more) {
  Config config;
  config.token = token;
  config.key.listen = with_port(config.key.listen, more.port_offset);
  config.auth.listen = with_port(config.auth.listen, more.port_offset);
  config.edge.listen = with_port(config.edge.listen, more.port_offset);
  config.auth.key_service = config.edge.key_service = config.key.listen;
  config.edge.auth_service = config.auth.listen;
  config.edge.metrics_listen = with_port(kEdgeMetrics, more.port_offset);
  config.edge.engine = more.engine;
  return config;
}

// Relative to the file that names it.
LinkedEngine linked(const Config& config, const char* name, const char* title,
                    const fs::path& directory) {
  LinkedEngine engine;
  engine.name = name;
  engine.title = title;
  engine.purposes = {"entrance", "payment"};
  engine.auth_service = config.auth.listen;
  engine.key_service = config.key.listen;
  engine.edge_metrics = config.edge.metrics_listen;
  engine.engine = config.edge.engine;
  engine.tls = {directory / "tls/ca.pem", directory / "tls/linkage.pem",
                directory / "tls/linkage.key"};
  return engine;
}

// The file with a new API key, the key beside it, and what curl needs to ask with it.
Status write_config(const fs::path& file, Config config) {
  BAUTA_CHECK(create_directory(file.parent_path(), 0711));
  const std::string key = random_hex(24);
  config.edge.api_keys.push_back({"first", "admin", sha256(as_bytes(key))});
  if (!config.linkage.engines.empty())
    config.linkage.operator_key_sha256 = to_hex(config.edge.api_keys.back().sha256);
  BAUTA_CHECK(write_file_atomically(file.parent_path() / "api-key", as_bytes(key), 0600));
  const fs::path authority = fs::absolute(file.parent_path()) / "tls/ca.pem";
  const std::string curl =
      fmt::format("silent\nshow-error\ncacert = \"{}\"\nheader = \"Authorization: Bearer {}\"\n",
                  authority.string(), key);
  BAUTA_CHECK(write_file_atomically(file.parent_path() / "curl.conf", as_bytes(curl), 0600));
  return write_file_atomically(file, as_bytes(to_toml(config)));
}

// The linkage server's certificate as an edge of an engine that runs here too.
Status create_engine_files(const LinkedEngine& engine, const std::string& user) {
  if (engine.config.empty()) return {};
  BAUTA_TRY(const Config config, read_config(engine.config));
  BAUTA_CHECK(create_missing_files(config));
  const fs::path authority = config.data / "tls";
  if (is_there(engine.tls.certificate)) {
    BAUTA_CHECK(bring_forward(authority, engine.tls.certificate));
    return hand_over(engine.tls.private_key, user);
  }
  BAUTA_CHECK(transport::issue_certificate(authority, {"linkage", {}},
                                           engine.tls.certificate.parent_path()));
  return hand_over(engine.tls.private_key, user);
}

}  // namespace

Status create_default_config(const fs::path& file, const fs::path& token) {
  if (is_there(file)) return {};
  const fs::path lasting_token = fs::absolute(token).lexically_normal();
  const auto beside = [&](const std::string& name) {
    return fs::path(lasting_token.string() + "-" + name);
  };
  Config config;
  config.token = lasting_token;
  config.edge.metrics_listen = kEdgeMetrics;
  config.linkage.token = beside("linkage");
  config.linkage.engines.push_back(linked(config, "patchnet", "Patchnet", {}));
  for (const MoreEngine& more : kMoreEngines) {
    const Config engine = shifted_config(beside(more.name), more);
    const fs::path directory = fs::path("engines") / more.name;
    const fs::path engine_file = file.parent_path() / directory / "bauta.toml";
    BAUTA_CHECK(create_directory(file.parent_path(), 0711));
    BAUTA_CHECK(create_directory(file.parent_path() / "engines", 0711));
    if (!is_there(engine_file)) BAUTA_CHECK(write_config(engine_file, engine));
    config.linkage.engines.push_back(linked(engine, more.name, more.title, directory));
    config.linkage.engines.back().config = directory / "bauta.toml";
  }
  return write_config(file, std::move(config));
}

Status create_missing_files(const Config& config) {
  const fs::path authority = config.data / "tls";
  // Others may pass through to their own directories, but not look around.
  BAUTA_CHECK(create_directory(config.data, 0711));
  if (!is_there(authority)) BAUTA_CHECK(create_directory(authority, 0711));
  if (!is_there(authority / "ca.pem")) BAUTA_CHECK(transport::create_authority(authority));
  BAUTA_CHECK(transport::put_away_authority_key(authority));
  for (const RoleFiles& role : roles(config)) BAUTA_CHECK(create_role_files(role, authority));
  if (!config.key.user.empty()) {
    if (!is_there(config.token)) BAUTA_CHECK(create_directory(config.token, 0700));
    BAUTA_CHECK(hand_over(config.token, config.key.user));
  }
  for (const LinkedEngine& engine : config.linkage.engines)
    BAUTA_CHECK(create_engine_files(engine, config.linkage.user));
  if (config.linkage.engines.empty() || config.linkage.user.empty()) return {};
  if (!is_there(config.linkage.token)) BAUTA_CHECK(create_directory(config.linkage.token, 0700));
  return hand_over(config.linkage.token, config.linkage.user);
}

Status check_files(const Config& config) {
  for (const RoleFiles& role : roles(config)) {
    BAUTA_CHECK(check_file(role.tls->authority, (role.name + ": authority").c_str()));
    BAUTA_CHECK(check_file(role.tls->certificate, (role.name + ": certificate").c_str()));
    BAUTA_CHECK(check_file(role.tls->private_key, (role.name + ": private_key").c_str()));
  }
  BAUTA_CHECK(check_file(config.edge.https_certificate, "edge.https_certificate"));
  if (!config.edge.webhook_url.empty())
    BAUTA_CHECK(check_file(config.edge.webhook_secret, "edge.webhook_secret"));
  BAUTA_CHECK(check_file(config.edge.https_private_key, "edge.https_private_key"));
  if (config.linkage.engines.empty()) return {};
  BAUTA_CHECK(check_file(config.linkage.https_certificate, "linkage.https_certificate"));
  BAUTA_CHECK(check_file(config.linkage.https_private_key, "linkage.https_private_key"));
  for (const LinkedEngine& engine : config.linkage.engines) {
    BAUTA_CHECK(check_file(engine.tls.authority, (engine.name + ": authority").c_str()));
    BAUTA_CHECK(check_file(engine.tls.certificate, (engine.name + ": certificate").c_str()));
    BAUTA_CHECK(check_file(engine.tls.private_key, (engine.name + ": private_key").c_str()));
  }
  return {};
}

}  // namespace bauta::run
