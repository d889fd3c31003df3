#include "services/rest/path.h"

namespace bauta::rest {
namespace {

// The first segment, without the slash before it, which is taken off as well.
std::string_view take_segment(std::string_view& path) {
  const std::string_view segment = path.substr(1, path.find('/', 1) - 1);
  path.remove_prefix(1 + segment.size());
  return segment;
}

}  // namespace

std::optional<std::vector<std::string>> match_path(std::string_view pattern,
                                                   std::string_view path) {
  std::vector<std::string> names;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view expected = take_segment(pattern);
    const std::string_view segment = take_segment(path);
    const bool place = expected.starts_with('{');
    if (place ? segment.empty() : segment != expected) return std::nullopt;
    if (place) names.emplace_back(segment);
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return names;
}

}  // namespace bauta::rest
