#include "face/engine.h"

#include <algorithm>
#include <cmath>

namespace bauta::face {

Digest contract_digest(const EmbeddingContract& contract) {
  ByteWriter writer;
  writer.text(contract.engine);
  writer.raw(contract.model_digest);
  writer.u32(contract.dimension);
  writer.text(contract.metric);
  writer.text(contract.normalisation);
  writer.f64(contract.threshold_verify);
  writer.f64(contract.threshold_identify);
  return sha256(writer.bytes());
}

Result<std::unique_ptr<Engine>> make_engine(std::string_view name_or_path,
                                            const std::filesystem::path& model_folder) {
  if (name_or_path == "classic") return make_classic_engine();
  if (name_or_path == "texture") return make_texture_engine();
  if (const auto file = network::patchnet_file(name_or_path, model_folder); file.ok())
    return make_patchnet_engine(*file);
  else if (file.error().code != ErrorCode::invalid_argument)
    return file.error();
  if (!name_or_path.ends_with(".json"))
    return make_error(
        ErrorCode::invalid_argument,
        "There is no engine '{}'. Give 'patchnet', 'classic', 'texture' or the path of an engine "
        "description (.json) or of a patch network (.bnet).",
        name_or_path);
  return make_onnx_engine(name_or_path, model_folder);
}

Status normalise(Embedding& embedding) {
  double squares = 0;
  for (const float value : embedding) squares += static_cast<double>(value) * value;
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm < 1e-9)
    return make_error(ErrorCode::internal, "The engine gave an embedding without a direction.");
  for (float& value : embedding) value = static_cast<float>(value / norm);
  return {};
}

double cosine_score(std::span<const float> a, std::span<const float> b) {
  BAUTA_ASSERT(a.size() == b.size());
  double score = 0;
  for (size_t i = 0; i < a.size(); ++i) score += static_cast<double>(a[i]) * b[i];
  return score;
}

}  // namespace bauta::face
