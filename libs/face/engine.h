// Engines: what turns an aligned face into an embedding, and the contract that says what the
// embedding means.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "face/align.h"
#include "network/model_folder.h"

namespace bauta::face {

// Of a person's face: as sensitive as the photo. Unit Euclidean norm.
using Embedding = std::vector<float>;

// What an embedding means. Embeddings compare only under equal contracts; a gallery is bound to
// one.
struct EmbeddingContract {
  std::string engine;      // "classic", or the name in the model's description
  Digest model_digest{};   // SHA-256 over the weights and all that is done to a face before and
                           // after them
  uint32_t dimension = 0;  // of the embedding
  // "cosine": the comparison score is the inner product, larger is more alike.
  // "squared_euclidean": 1 - distance / 2, which is the same number for unit vectors.
  std::string metric;
  std::string normalisation;    // "unit"
  double threshold_verify = 0;  // score at or above which 1:1 accepts
  double threshold_identify =
      0;  // score at or above which 1:N accepts; higher, for galleries of hundreds

  bool operator==(const EmbeddingContract&) const = default;
};

// SHA-256 of all fields in the order above: u32-length-prefixed texts, little-endian integers and
// doubles.
Digest contract_digest(const EmbeddingContract& contract);

// Thread-safe: concurrent calls take turns where the engine cannot run in parallel.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EmbeddingContract& contract() const = 0;
  // Unit norm, contract().dimension values. Error internal: the model failed, or gave no finite
  // direction.
  virtual Result<Embedding> extract(const AlignedFace& face) const = 0;
};

// Histograms of oriented gradients; no weights, so it works everywhere. Far less accurate than a
// network.
std::unique_ptr<Engine> make_classic_engine();

// Histograms of local binary patterns; no weights either, another dimension, and weaker still.
std::unique_ptr<Engine> make_texture_engine();

// A network described by a JSON file (docs/formats/engine-description.md). Errors: not_found for
// the description or the weights (with where it looked); corrupt for a damaged one; mismatch when
// the weights are not those of the description.
Result<std::unique_ptr<Engine>> make_onnx_engine(
    const std::filesystem::path& description,
    const std::filesystem::path& model_folder = network::default_model_folder());

// A patch network (docs/formats/network.md), run in the clear; calls run in parallel. `extract`
// also ends with `refused` for a picture that drives the network out of its declared range, as no
// face does. Errors: not_found, corrupt, mismatch (a later version of the format).
Result<std::unique_ptr<Engine>> make_patchnet_engine(const std::filesystem::path& network_file);

// "patchnet", "classic", "texture", or the path of a description (.json) or of a patch network
// (.bnet).
Result<std::unique_ptr<Engine>> make_engine(
    std::string_view name_or_path,
    const std::filesystem::path& model_folder = network::default_model_folder());

// Scales to unit norm. Error internal: zero or not finite.
Status normalise(Embedding& embedding);

// The comparison score of metric "cosine". Precondition: equal sizes.
double cosine_score(std::span<const float> a, std::span<const float> b);

}  // namespace bauta::face
