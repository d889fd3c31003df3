#include "apps/cli/temporary_deployment.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace bauta::cli {

namespace fs = std::filesystem;

Result<std::unique_ptr<TemporaryDeployment>> TemporaryDeployment::create(
    const EdgeSettings& settings) {
  std::error_code reason;
  const fs::path parent = fs::temp_directory_path(reason);
  std::string pattern = (parent / "bauta-evaluation-XXXXXX").string();
  if (reason || mkdtemp(pattern.data()) == nullptr)
    return make_error(ErrorCode::unavailable, "cannot create a directory in {}: {}",
                      parent.string(), std::strerror(errno));
  std::unique_ptr<TemporaryDeployment> temporary(new TemporaryDeployment(pattern));
  CommonOptions options;
  options.data = temporary->directory_ / "data";
  options.token = temporary->directory_ / "token";
  BAUTA_TRY(temporary->deployment_, Deployment::initialise(options, "evaluation", true));
  BAUTA_CHECK(temporary->deployment_->create_gallery(kGallery, settings, "evaluation"));
  BAUTA_TRY(temporary->edge_, temporary->deployment_->open_edge(kGallery));
  return temporary;
}

TemporaryDeployment::~TemporaryDeployment() {
  edge_.reset();
  deployment_.reset();
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

}  // namespace bauta::cli
