// What the commands that recognise print, and share.
#pragma once

#include <filesystem>
#include <functional>

#include "apps/cli/deployment.h"
#include "apps/cli/report.h"
#include "services/rest/json.h"

namespace bauta::cli {

std::string to_text(const edge::Timings& timings);

using rest::decision_name;
using rest::to_json;

// A file that cannot be read is a failed recognition with its reason, not an error.
Result<edge::Recognition> recognise_file(
    const std::filesystem::path& path,
    const std::function<Result<edge::Recognition>(ByteView)>& recognise);

}  // namespace bauta::cli
