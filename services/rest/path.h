// The paths of requests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bauta::rest {

// What stands in a path in the places of a pattern such as /v1/galleries/{gallery}, in order;
// nothing for another path. A place is never empty.
std::optional<std::vector<std::string>> match_path(std::string_view pattern, std::string_view path);

}  // namespace bauta::rest
