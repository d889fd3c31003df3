// How large a network's values become on faces, beside the bounds that its file declares.

#include <cmath>
#include <numeric>

#include "apps/cli/arguments.h"
#include "apps/cli/demo_people.h"
#include "base/file.h"
#include "base/npy.h"
#include "circuits/precision.h"
#include "face/pipeline.h"
#include "network/evaluation.h"
#include "network/ranges.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxImage_bytes = size_t{32} << 20;

struct Tally {
  explicit Tally(const network::Network& of) : network(of), ranges(of) {}

  void add(std::span<const float> maps) {
    network::Ranges of_face(network);
    const std::vector<float> embedding =
        network::evaluate(network, maps, [&](size_t layer, std::span<float> output) {
          of_face(layer, output);
          ranges(layer, output);
        });
    const double length =
        std::sqrt(std::inner_product(embedding.begin(), embedding.end(), embedding.begin(), 0.0));
    shortest = faces == 0 ? length : std::min(shortest, length);
    longest = std::max(longest, length);
    ++faces;
    if (!of_face.kept()) ++outside;
  }

  const network::Network& network;
  network::Ranges ranges;  // of all faces
  size_t faces = 0, outside = 0, unusable = 0;
  double shortest = 0, longest = 0;  // embedding
};

Status add_crops(const fs::path& path, Tally& tally) {
  BAUTA_TRY(const NpyFile file, NpyFile::open(path));
  const network::InputGeometry& input = tally.network.input;
  if (file.columns() != size_t{input.packed_side} * input.packed_side * 3)
    return make_error(ErrorCode::mismatch,
                      "{} has rows of {} values; network {} takes crops of {}x{} pixels, in RGB",
                      path.string(), file.columns(), tally.network.name, input.packed_side,
                      input.packed_side);
  Progress progress("faces", file.rows());
  for (uint64_t row = 0; row < file.rows(); ++row) {
    BAUTA_TRY(const std::vector<float> crop, file.read(row, 1));
    tally.add(network::input_maps_of_scaled(crop, input));
    progress.advance();
  }
  return {};
}

Status add_images(const fs::path& folder, const std::string& detector_name, Tally& tally) {
  BAUTA_TRY(const std::unique_ptr<face::Detector> detector, face::make_detector(detector_name));
  std::vector<fs::path> images;
  std::error_code reason;
  for (auto entry = fs::recursive_directory_iterator(folder, reason);
       !reason && entry != fs::recursive_directory_iterator(); entry.increment(reason))
    if (entry->is_regular_file()) images.push_back(entry->path());
  if (reason)
    return make_error(ErrorCode::not_found, "cannot read {}: {}", folder.string(),
                      reason.message());
  face::FaceOptions options;
  options.choice = face::FaceChoice::largest_central;
  Progress progress("images", images.size());
  for (const fs::path& path : images) {
    BAUTA_TRY(const Bytes bytes, read_file(path, kMaxImage_bytes));
    const auto outcome = face::find_face(bytes, *detector, options);
    if (outcome.ok() && outcome->face() != nullptr)
      tally.add(network::input_maps(outcome->face()->aligned.image.rgb, tally.network.input));
    else
      ++tally.unusable;
    progress.advance();
  }
  return {};
}

Report report_on(const Tally& tally, const circuits::Plan& plan) {
  Report report;
  report.text = fmt::format("{:<12} {:>8} {:>8} {:>8} {:>14}\n", "layer", "bound", "largest",
                            "share", "wraps around");
  Json layers = Json::array();
  for (size_t i = 0; i < tally.network.layers.size(); ++i) {
    const auto* square = std::get_if<network::Square>(&tally.network.layers[i]);
    if (square == nullptr) continue;
    const double largest = tally.ranges.largest()[i];
    // What the layer puts out is the square.
    const double wraps_at = std::sqrt(circuits::largest_value(plan, i));
    layers.push_back({{"name", plan.steps[i].name},
                      {"bound", square->bound},
                      {"largest", largest},
                      {"wraps_at", wraps_at}});
    report.text += fmt::format("{:<12} {:8.3f} {:8.3f} {:7.1f}% {:14.3g}\n", plan.steps[i].name,
                               square->bound, largest, 100 * largest / square->bound, wraps_at);
  }
  const double wraps_at = circuits::largest_value(plan, tally.network.layers.size() - 1);
  report.json = {{"model", tally.network.name},        {"faces", tally.faces},
                 {"unusable", tally.unusable},         {"outside", tally.outside},
                 {"layers", std::move(layers)},        {"embedding_shortest", tally.shortest},
                 {"embedding_longest", tally.longest}, {"embedding_wraps_at", wraps_at}};
  report.text += fmt::format(
      "{}: {} faces, {} of them outside a bound; embeddings of length {:.3f} to {:.3f}, which "
      "wraps "
      "around at {:.3g}; {} images without a usable face\n",
      tally.network.name, tally.faces, tally.outside, tally.shortest, tally.longest, wraps_at,
      tally.unusable);
  report.exit_code = tally.outside == 0 ? kYes : kNo;
  return report;
}

}  // namespace

Result<Report> eval_ranges(const CommonOptions&, const EvalRangesOptions& options) {
  BAUTA_TRY(const network::Network network, network::read_network(options.model));
  BAUTA_TRY(const circuits::Plan plan, circuits::make_wide_plan(network));
  Tally tally(network);
  if (!options.crops.empty()) BAUTA_CHECK(add_crops(options.crops, tally));
  if (!options.images.empty() || options.crops.empty()) {
    const std::filesystem::path images = options.images.empty() ? demo_people() : options.images;
    BAUTA_CHECK(add_images(images, options.detector, tally));
  }
  if (tally.faces == 0)
    return make_error(ErrorCode::invalid_argument, "there is no usable face to measure on");
  return report_on(tally, plan);
}

}  // namespace bauta::cli
