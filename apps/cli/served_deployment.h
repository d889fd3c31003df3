// A deployment of real processes for one measurement: `bauta serve` over a temporary directory, on
// free ports of loopback, removed at the end.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/cli/temporary_deployment.h"
#include "services/rest/desk.h"
#include "services/rest/https_client.h"
#include "services/run/config.h"

namespace bauta::cli {

class ServedDeployment {
 public:
  // Returns when all roles answer. Errors: unavailable, with the roles' own words on stderr.
  static Result<std::unique_ptr<ServedDeployment>> start(const std::string& engine,
                                                         const std::string& detector);
  ~ServedDeployment();
  ServedDeployment(const ServedDeployment&) = delete;
  ServedDeployment& operator=(const ServedDeployment&) = delete;

  // A device, with every right.
  rest::HttpsClient connect_device() const;
  // Another edge, connected to the servers by itself: it can enrol templates that no image belongs
  // to.
  Result<rest::Desk*> open_edge();
  // The same for templates of any dimension, with a new gallery for them. Call at most one of these
  // two.
  Result<std::unique_ptr<edge::Edge>> open_template_edge(const std::string& gallery,
                                                         size_t dimension);

 private:
  explicit ServedDeployment(TemporaryDirectory directory) : directory_(std::move(directory)) {}
  Status write_config(const std::string& engine, const std::string& detector);
  Status start_process();
  Status connect_servers();

  TemporaryDirectory directory_;
  run::Config config_;
  std::string api_key_;
  int process_ = 0;
  std::unique_ptr<AuthService> auth_;
  std::unique_ptr<EdgeKeyService> edge_keys_;
  std::unique_ptr<rest::Desk> edge_;
};

}  // namespace bauta::cli
