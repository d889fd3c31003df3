// The configuration of all roles: one TOML file. `bauta config default` prints it with every option
// explained.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/digest.h"
#include "services/transport/transport.h"

namespace bauta::run {

struct ApiKey {
  std::string name;  // for logs, of one key only
  std::string role;  // "recognise", "enrol" (may recognise too) or "admin" (may do all)
  Digest sha256{};   // of the key; the key itself is nowhere on the server
};

enum class LogLevel { requests, errors, none };

struct KeyConfig {
  std::string listen = "127.0.0.1:7443";
  transport::TlsFiles tls{"tls/ca.pem", "tls/key.pem", "tls/key.key"};
  std::string user;
  std::string metrics_listen;
  std::vector<std::string> tenants{"default"};
  std::vector<std::string> linked_galleries{"entrance", "payment"};
};

struct AuthConfig {
  std::string listen = "127.0.0.1:7442";
  transport::TlsFiles tls{"tls/ca.pem", "tls/auth.pem", "tls/auth.key"};
  std::string user;
  std::string metrics_listen;
  std::string key_service = "127.0.0.1:7443";
  int64_t threads = 0;
  std::vector<std::string> networks{"patchnet"};
  int64_t image_requests = 4;
};

struct EdgeConfig {
  std::string listen = "127.0.0.1:8443";
  std::string id = "edge";
  transport::TlsFiles tls{"tls/ca.pem", "tls/edge.pem", "tls/edge.key"};
  std::filesystem::path https_certificate = "tls/edge.pem";
  std::filesystem::path https_private_key = "tls/edge.key";
  std::string user;
  std::string metrics_listen;
  std::string auth_service = "127.0.0.1:7442";
  std::string key_service = "127.0.0.1:7443";
  std::string tenant = "default";
  std::string engine = "patchnet";
  std::string detector = "haar5";
  int64_t max_body_bytes = int64_t{16} << 20;
  int64_t max_images = 16;
  int64_t max_connections = 256;
  int64_t max_waiting = 64;
  int64_t request_timeout_ms = 30'000;
  std::string webhook_url;
  std::filesystem::path webhook_secret = "webhook-secret";
  std::filesystem::path webhook_authority = "/etc/ssl/certs/ca-certificates.crt";
  std::vector<ApiKey> api_keys;
};

struct StorageConfig {
  std::string listen = "127.0.0.1:7444";
  transport::TlsFiles tls{"tls/ca.pem", "tls/storage.pem", "tls/storage.key"};
  std::string user;
  std::string metrics_listen;
};

// An engine that the linkage server serves: an authentication server with its tenant and key
// service, here or elsewhere.
struct LinkedEngine {
  std::string name;
  std::string title;                  // for persons
  std::vector<std::string> purposes;  // each a gallery of that name
  std::filesystem::path config;       // when `bauta serve` shall run it too, its own bauta.toml
  std::string auth_service, key_service;
  std::string edge_metrics;
  transport::TlsFiles tls;  // as an edge there, under the name "linkage"
  std::string tenant = "default";
  std::string engine = "patchnet";
};

struct LinkageConfig {
  std::string listen = "127.0.0.1:8444";
  transport::TlsFiles tls{"tls/ca.pem", "tls/linkage.pem", "tls/linkage.key"};
  std::filesystem::path https_certificate = "tls/linkage.pem";
  std::filesystem::path https_private_key = "tls/linkage.key";
  std::string user;
  std::string metrics_listen;
  std::string storage_service = "127.0.0.1:7444";
  std::filesystem::path token = "../bauta-linkage-token";
  std::string public_url = "https://localhost:8444";
  std::string detector = "haar5";
  std::string operator_key_sha256;
  int64_t collect_interval_ms = 1'000;
  int64_t backup_interval_s = 86'400;
  int64_t backups_kept = 7;
  int64_t max_body_bytes = int64_t{32} << 20;
  std::vector<LinkedEngine> engines;
};

struct Config {
  std::filesystem::path data = ".";
  std::filesystem::path token = "../bauta-token";
  int64_t drain_timeout_ms = 10'000;
  LogLevel log = LogLevel::requests;
  KeyConfig key;
  AuthConfig auth;
  EdgeConfig edge;
  StorageConfig storage;
  LinkageConfig linkage;
};

// Paths in the result are absolute: those in the file are relative to its directory. Errors: those
// of reading; invalid_argument, with file and line, for what is no TOML, an unknown option, a value
// of the wrong type or out of range.
Result<Config> read_config(const std::filesystem::path& file);

// Galleries on which the linkage server gets its first grants at this deployment's key service:
// those of the engines that are this deployment itself, or else what the configuration names.
std::vector<std::string> linked_galleries(const Config& config);

// The file that says what `config` says, each option explained.
std::string to_toml(const Config& config);

}  // namespace bauta::run
