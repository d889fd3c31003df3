// A deployment of its own for one measurement: fresh keys made for evaluation, removed at the end.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/cli/deployment.h"

namespace bauta::cli {

class TemporaryDeployment {
 public:
  // With one empty gallery, kGallery.
  static Result<std::unique_ptr<TemporaryDeployment>> create(const EdgeSettings& settings);
  ~TemporaryDeployment();
  TemporaryDeployment(const TemporaryDeployment&) = delete;
  TemporaryDeployment& operator=(const TemporaryDeployment&) = delete;

  static constexpr const char* kGallery = "evaluation";
  edge::Edge& edge() { return *edge_; }

 private:
  explicit TemporaryDeployment(std::filesystem::path directory)
      : directory_(std::move(directory)) {}

  std::filesystem::path directory_;
  std::unique_ptr<Deployment> deployment_;
  std::unique_ptr<edge::Edge> edge_;
};

}  // namespace bauta::cli
