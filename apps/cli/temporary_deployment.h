// A deployment of its own for one measurement: fresh keys, made for evaluation unless it measures
// decisions as in production; removed at the end.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/cli/deployment.h"

namespace bauta::cli {

// Removed with all that is in it.
class TemporaryDirectory {
 public:
  static Result<TemporaryDirectory> create();
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

class TemporaryDeployment {
 public:
  // With one empty gallery, kGallery.
  static Result<std::unique_ptr<TemporaryDeployment>> create(const EdgeSettings& settings,
                                                             const std::string& mode = "template",
                                                             size_t threads = 0,
                                                             bool evaluation = true);

  static constexpr const char* kGallery = "evaluation";
  edge::Edge& edge() { return *edge_; }

 private:
  explicit TemporaryDeployment(TemporaryDirectory directory) : directory_(std::move(directory)) {}

  TemporaryDirectory directory_;  // outlives what is open in it
  std::unique_ptr<Deployment> deployment_;
  std::unique_ptr<edge::Edge> edge_;
};

}  // namespace bauta::cli
