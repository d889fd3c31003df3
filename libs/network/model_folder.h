// Where model weights are found: those that come with the project, and others.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace bauta::network {

// $BAUTA_MODELS, or an empty path when it is not set.
std::filesystem::path default_model_folder();

// The file itself when `file` is absolute; else the first that exists of beside/file,
// model_folder/file and the file of that name among the models that come with the project. Error
// not_found, with the places looked in and what to do.
Result<std::filesystem::path> find_model_file(const std::filesystem::path& file,
                                              const std::filesystem::path& beside,
                                              const std::filesystem::path& model_folder);

// The file of a patch network: "patchnet", which comes with the project, or the path of a .bnet
// file. Errors: invalid_argument, it is neither; not_found.
Result<std::filesystem::path> patchnet_file(
    std::string_view name_or_path,
    const std::filesystem::path& model_folder = default_model_folder());

}  // namespace bauta::network
