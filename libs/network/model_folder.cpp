#include "network/model_folder.h"

#include <cstdlib>

namespace bauta::network {

std::filesystem::path default_model_folder() {
  const char* folder = std::getenv("BAUTA_MODELS");
  return folder == nullptr ? "" : folder;
}

Result<std::filesystem::path> find_model_file(const std::filesystem::path& file,
                                              const std::filesystem::path& beside,
                                              const std::filesystem::path& model_folder) {
  std::error_code ignored;
  const auto exists = [&](const auto& path) {
    return std::filesystem::is_regular_file(path, ignored);
  };
  if (file.is_absolute()) {
    if (exists(file)) return file;
    return make_error(ErrorCode::not_found, "The model {} does not exist.", file.string());
  }
  if (!beside.empty() && exists(beside / file)) return beside / file;
  if (!model_folder.empty() && exists(model_folder / file)) return model_folder / file;
  // The models that come with the project need no configuration.
  const std::filesystem::path own_models(BAUTA_OWN_MODELS);
  if (exists(own_models / file)) return own_models / file;
  if (model_folder.empty())
    return make_error(ErrorCode::not_found,
                      "The model {} was not found{}. Set BAUTA_MODELS to the folder that holds it.",
                      file.string(), beside.empty() ? "" : " in " + beside.string());
  return make_error(ErrorCode::not_found,
                    "The model {} was not found{} in the model folder {}. Put it there, or set "
                    "BAUTA_MODELS to the folder that holds it.",
                    file.string(), beside.empty() ? "" : " in " + beside.string() + " or",
                    model_folder.string());
}

Result<std::filesystem::path> patchnet_file(std::string_view name_or_path,
                                            const std::filesystem::path& model_folder) {
  if (name_or_path == "patchnet") return find_model_file("patchnet.bnet", {}, model_folder);
  if (name_or_path.ends_with(".bnet")) return std::filesystem::path(name_or_path);
  return make_error(ErrorCode::invalid_argument,
                    "'{}' is no patch network, so it does not run on encrypted images.",
                    name_or_path);
}

}  // namespace bauta::network
