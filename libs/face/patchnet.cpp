#include "face/engine.h"
#include "network/evaluation.h"
#include "network/ranges.h"

namespace bauta::face {
namespace {

static_assert(kAlignedSide == network::kFaceSide);

EmbeddingContract contract_of(const network::Network& network) {
  return {.engine = network.name,
          .model_digest = network.digest,
          .dimension = network.dimension(),
          .metric = "cosine",
          .normalisation = "unit",
          .threshold_verify = network.threshold_verify,
          .threshold_identify = network.threshold_identify};
}

class PatchnetEngine final : public Engine {
 public:
  explicit PatchnetEngine(network::Network network)
      : network_(std::move(network)), contract_(contract_of(network_)) {}

  const EmbeddingContract& contract() const override { return contract_; }

  Result<Embedding> extract(const AlignedFace& face) const override {
    network::Ranges ranges(network_);
    Embedding embedding =
        evaluate(network_, network::input_maps(face.image.rgb, network_.input), std::ref(ranges));
    if (!ranges.kept())
      return make_error(ErrorCode::refused,
                        "the picture is too unlike a face for the network {}; take another",
                        network_.name);
    BAUTA_CHECK(normalise(embedding));
    return embedding;
  }

 private:
  network::Network network_;
  EmbeddingContract contract_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_patchnet_engine(const std::filesystem::path& network_file) {
  BAUTA_TRY(network::Network network, network::read_network(network_file));
  return std::unique_ptr<Engine>(std::make_unique<PatchnetEngine>(std::move(network)));
}

}  // namespace bauta::face
