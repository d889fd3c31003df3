#include "apps/cli/temporary_deployment.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace bauta::cli {

namespace fs = std::filesystem;

Result<TemporaryDirectory> TemporaryDirectory::create() {
  std::error_code reason;
  const fs::path parent = fs::temp_directory_path(reason);
  std::string pattern = (parent / "bauta-evaluation-XXXXXX").string();
  if (reason || mkdtemp(pattern.data()) == nullptr)
    return make_error(ErrorCode::unavailable, "cannot create a directory in {}: {}",
                      parent.string(), std::strerror(errno));
  return TemporaryDirectory(pattern);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<std::unique_ptr<TemporaryDeployment>> TemporaryDeployment::create(
    const EdgeSettings& settings, const std::string& mode, size_t threads, bool evaluation) {
  BAUTA_TRY(TemporaryDirectory directory, TemporaryDirectory::create());
  std::unique_ptr<TemporaryDeployment> temporary(new TemporaryDeployment(std::move(directory)));
  CommonOptions options;
  options.threads = threads;
  options.data = temporary->directory_.path() / "data";
  options.token = temporary->directory_.path() / "token";
  BAUTA_TRY(temporary->deployment_, Deployment::initialise(options, "evaluation", evaluation));
  BAUTA_CHECK(temporary->deployment_->create_gallery(kGallery, settings, "evaluation"));
  BAUTA_TRY(temporary->edge_, temporary->deployment_->open_edge(kGallery, mode));
  return temporary;
}

}  // namespace bauta::cli
