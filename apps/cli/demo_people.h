// Where the demo's fictitious people are.
#pragma once

#include <filesystem>

namespace bauta::cli {

// Of the sources that this program was built from: a folder for each, NAME/NAME_0001.jpg.
std::filesystem::path demo_people();

}  // namespace bauta::cli
