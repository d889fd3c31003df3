// Where model weights that do not come with the project are kept.
#pragma once

#include <filesystem>

#include "base/result.h"

namespace bauta::face {

// $BAUTA_MODELS, or an empty path when it is not set.
std::filesystem::path default_model_folder();

// The file itself when `file` is absolute; else the first that exists of beside/file,
// model_folder/file and the file of that name among the models that come with the project. Error
// not_found, with the places looked in and what to do.
Result<std::filesystem::path> find_model_file(const std::filesystem::path& file,
                                              const std::filesystem::path& beside,
                                              const std::filesystem::path& model_folder);

}  // namespace bauta::face
