// A deployment of real processes for one measurement: `bauta serve` over a temporary directory, on
// free ports of loopback, removed at the end.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "apps/cli/network_relay.h"
#include "apps/cli/temporary_deployment.h"
#include "services/auth/auth_server.h"
#include "services/rest/desk.h"
#include "services/rest/https_client.h"
#include "services/run/config.h"

namespace bauta::cli {

struct ServedOptions {
  std::string engine, detector;
  uint32_t decisions_per_minute = 0;  // of one edge on one gallery; 0: as the key service has it
  // Between a device and the edge, or an edge of templates and the authentication server.
  NetworkProfile network;
};

class ServedDeployment {
 public:
  // Returns when all roles answer. Errors: unavailable, with the roles' own words on stderr.
  static Result<std::unique_ptr<ServedDeployment>> start(const ServedOptions& options);
  ~ServedDeployment();
  ServedDeployment(const ServedDeployment&) = delete;
  ServedDeployment& operator=(const ServedDeployment&) = delete;

  // A device, with every right.
  rest::HttpsClient connect_device() const;
  // Another edge, connected to the servers by itself: it can enrol templates that no image belongs
  // to.
  Result<rest::Desk*> open_edge();
  // The same for templates of one dimension, with a gallery for them that the first call creates;
  // each call gives a further edge, for one thread. Not together with open_edge().
  Result<std::unique_ptr<edge::Edge>> open_template_edge(const std::string& gallery,
                                                         size_t dimension);
  // As who operates the authentication server: a block of references, row i of `rows` as
  // subjects[i].
  Status enrol_block(const std::string& gallery, const edge::Edge& edge,
                     std::span<const std::string> subjects, std::span<const float> rows);

  // What the processes of the roles use: resident memory now and at most, in which mapped segments
  // of galleries count, and processor time so far by role.
  struct Usage {
    uint64_t resident_bytes = 0, peak_bytes = 0;
    std::map<std::string, double> processor_s;
  };
  Usage usage() const;

 private:
  explicit ServedDeployment(TemporaryDirectory directory) : directory_(std::move(directory)) {}
  Status write_config(const ServedOptions& options);
  Status start_relays(const NetworkProfile& network);
  Status start_process();
  Status give_rights();
  Status connect_servers();
  Status get_template_seed();

  TemporaryDirectory directory_;
  run::Config config_;
  std::string api_key_;
  int process_ = 0;
  int edge_port_ = 0;         // for devices
  std::string auth_address_;  // for edges of templates
  std::unique_ptr<NetworkRelay> to_edge_, to_auth_;
  std::unique_ptr<AuthService> auth_;
  std::unique_ptr<EdgeKeyService> edge_keys_;
  std::unique_ptr<rest::Desk> edge_;
  std::string template_key_id_;
  std::optional<SecretBytes> template_seed_;
  std::unique_ptr<KeyService> operator_keys_;
  std::unique_ptr<auth::AuthServer> operator_;
};

}  // namespace bauta::cli
