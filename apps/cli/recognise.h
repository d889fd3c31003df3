// What the commands that recognise print, and share.
#pragma once

#include <filesystem>
#include <functional>

#include "apps/cli/deployment.h"
#include "apps/cli/report.h"

namespace bauta::cli {

// {detect_align, extract, encrypt, match, decide, total}, milliseconds to the microsecond.
Json to_json(const edge::Timings& timings);
std::string to_text(const edge::Timings& timings);

// "accepted", "rejected", or "failed" when the image gave no decision.
const char* decision_name(v1::Decision decision);

// A file that cannot be read is a failed recognition with its reason, not an error.
Result<edge::Recognition> recognise_file(
    const std::filesystem::path& path,
    const std::function<Result<edge::Recognition>(ByteView)>& recognise);

}  // namespace bauta::cli
