#include <mutex>

#include <nlohmann/json.hpp>
#include <opencv2/dnn.hpp>
#include <opencv2/imgproc.hpp>

#include "base/file.h"
#include "face/engine.h"
#include "face/opencv.h"

namespace bauta::face {
namespace {

constexpr size_t kMaxDescriptionBytes = 64u << 10;
constexpr size_t kMaxModelBytes = 1u << 30;
constexpr uint32_t kMaxDimension = 4096;

// What docs/formats/engine-description.md says, field by field.
struct Description {
  std::string engine;
  std::string model;                        // file name or path
  std::optional<std::string> model_sha256;  // hexadecimal
  int input_side = 0;                       // pixels
  bool rgb = true;                          // else BGR
  cv::Scalar mean, deviation;               // of channel values in 0..1, in the order of the input
  std::string output;                       // name of the layer; empty: the last
  uint32_t dimension = 0;
  std::string metric;
  double threshold_verify = 0;  // scores, whatever the metric
  double threshold_identify = 0;
};

cv::Scalar channels_of(const nlohmann::json& values) {
  const auto list = values.get<std::vector<double>>();
  if (list.size() != 3) throw std::invalid_argument("mean and std need three values");
  return {list[0], list[1], list[2]};
}

// Throws what nlohmann::json throws, or invalid_argument.
Description description_of(const nlohmann::json& json) {
  const auto require = [](bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
  };
  require(json.at("format") == 1, "format must be 1");
  Description description;
  description.metric = json.at("metric").get<std::string>();
  const bool distance = description.metric == "squared_euclidean";
  require(distance || description.metric == "cosine",
          "the metric must be \"cosine\" or \"squared_euclidean\"");
  description.engine = json.at("engine").get<std::string>();
  require(!description.engine.empty() && description.engine != "classic",
          "the engine needs a name of its own");
  description.model = json.at("model").get<std::string>();
  if (json.contains("sha256")) description.model_sha256 = json.at("sha256").get<std::string>();
  const auto& input = json.at("input");
  description.input_side = input.at("side").get<int>();
  require(description.input_side >= 16 && description.input_side <= 1024,
          "input.side must be 16 to 1024 pixels");
  const auto channels = input.at("channels").get<std::string>();
  require(channels == "RGB" || channels == "BGR", "input.channels must be \"RGB\" or \"BGR\"");
  description.rgb = channels == "RGB";
  description.mean = channels_of(input.at("mean"));
  description.deviation = channels_of(input.at("std"));
  for (int i = 0; i < 3; ++i) require(description.deviation[i] > 0, "input.std must be positive");
  description.output = json.value("output", "");
  description.dimension = json.at("dimension").get<uint32_t>();
  require(description.dimension >= 1 && description.dimension <= kMaxDimension,
          "dimension must be 1 to 4096");
  // |a - b|^2 = 2 - 2<a, b> for unit vectors: every distance is a score.
  const auto score_of = [&](double threshold) { return distance ? 1 - threshold / 2 : threshold; };
  description.threshold_verify = score_of(json.at("thresholds").at("verify").get<double>());
  description.threshold_identify = score_of(json.at("thresholds").at("identify").get<double>());
  for (const double threshold : {description.threshold_verify, description.threshold_identify})
    require(threshold > -1 && threshold < 1,
            distance ? "thresholds must lie between 0 and 4: squared distances of unit vectors"
                     : "thresholds must lie between -1 and 1");
  return description;
}

Result<Description> read_description(const std::filesystem::path& path) {
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxDescriptionBytes));
  try {
    return description_of(nlohmann::json::parse(bytes.begin(), bytes.end()));
  } catch (const std::exception& exception) {
    return make_error(ErrorCode::corrupt, "The engine description {} is wrong: {}.", path.string(),
                      exception.what());
  }
}

// Over the weights and everything else that shapes an embedding; thresholds stand beside it in the
// contract.
Digest model_digest(const Description& description, const Digest& weights) {
  ByteWriter writer;
  writer.text("bauta onnx engine 1");
  writer.raw(weights);
  writer.u32(static_cast<uint32_t>(description.input_side));
  writer.text(description.rgb ? "RGB" : "BGR");
  for (int i = 0; i < 3; ++i) {
    writer.f64(description.mean[i]);
    writer.f64(description.deviation[i]);
  }
  writer.text(description.output);
  return sha256(writer.bytes());
}

class OnnxEngine final : public Engine {
 public:
  OnnxEngine(Description description, const Digest& weights, cv::dnn::Net network)
      : description_(std::move(description)), network_(std::move(network)) {
    contract_ = {description_.engine,
                 model_digest(description_, weights),
                 description_.dimension,
                 description_.metric,
                 "unit",
                 description_.threshold_verify,
                 description_.threshold_identify};
  }

  const EmbeddingContract& contract() const override { return contract_; }

  Result<Embedding> extract(const AlignedFace& face) const override {
    BAUTA_TRY(Embedding embedding, guard_opencv([&] { return run(input_of(face)); }));
    if (embedding.size() != contract_.dimension)
      return make_error(ErrorCode::internal,
                        "The network of engine {} gives {} values; its description says {}.",
                        contract_.engine, embedding.size(), contract_.dimension);
    BAUTA_CHECK(normalise(embedding));
    return embedding;
  }

 private:
  cv::Mat input_of(const AlignedFace& face) const {
    cv::Mat pixels = mat_of(face.image);
    const cv::Size size(description_.input_side, description_.input_side);
    if (pixels.size() != size) cv::resize(pixels, pixels, size, 0, 0, cv::INTER_AREA);
    cv::Mat channels;
    pixels.convertTo(channels, CV_32F, 1 / 255.0);
    if (!description_.rgb) cv::cvtColor(channels, channels, cv::COLOR_RGB2BGR);
    cv::subtract(channels, description_.mean, channels);
    cv::divide(channels, description_.deviation, channels);
    return cv::dnn::blobFromImage(channels);
  }

  Embedding run(const cv::Mat& input) const {
    const std::lock_guard lock(mutex_);
    network_.setInput(input);
    const cv::Mat output =
        description_.output.empty() ? network_.forward() : network_.forward(description_.output);
    if (output.type() != CV_32F) return {};
    return {output.ptr<float>(), output.ptr<float>() + output.total()};
  }

  Description description_;
  EmbeddingContract contract_;
  mutable std::mutex mutex_;
  mutable cv::dnn::Net network_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_onnx_engine(const std::filesystem::path& path,
                                                 const std::filesystem::path& model_folder) {
  BAUTA_TRY(Description description, read_description(path));
  BAUTA_TRY(const auto model,
            network::find_model_file(description.model, path.parent_path(), model_folder));
  BAUTA_TRY(const Bytes weights, read_file(model, kMaxModelBytes));
  const Digest digest = sha256(weights);
  if (description.model_sha256 && *description.model_sha256 != to_hex(digest))
    return make_error(ErrorCode::mismatch,
                      "The model {} is not the one that {} describes: its SHA-256 is {}, not {}.",
                      model.string(), path.string(), to_hex(digest), *description.model_sha256);
  auto network = guard_opencv([&] {
    return cv::dnn::readNetFromONNX(reinterpret_cast<const char*>(weights.data()), weights.size());
  });
  if (!network.ok() || network->empty())
    return make_error(ErrorCode::corrupt, "The model {} is not an ONNX network OpenCV {} can run.",
                      model.string(), CV_VERSION);
  return std::unique_ptr<Engine>(
      new OnnxEngine(std::move(description), digest, std::move(*network)));
}

}  // namespace bauta::face
