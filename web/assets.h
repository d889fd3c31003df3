// The files of the pages, as they are served.
#pragma once

#include <string>

namespace bauta::web {

struct Asset {
  const char* path;  // "/", "/operator", "/style.css", ...
  const char* content_type;
  std::string content;
};

// Null when there is none at the path.
const Asset* find_asset(const std::string& path);

}  // namespace bauta::web
