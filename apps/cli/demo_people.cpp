#include "apps/cli/demo_people.h"

namespace bauta::cli {

std::filesystem::path demo_people() {
  return std::filesystem::path(BAUTA_SOURCE_DIR) / "examples/people";
}

}  // namespace bauta::cli
