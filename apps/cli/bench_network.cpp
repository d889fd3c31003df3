// `bauta bench network`: a network on encrypted faces, each layer beside what its plan predicts.
#include <algorithm>
#include <chrono>
#include <cmath>

#include <sys/resource.h>

#include "apps/cli/arguments.h"
#include "apps/cli/demo_people.h"
#include "base/file.h"
#include "circuits/encrypted_network.h"
#include "circuits/image_ciphertext.h"
#include "circuits/precision.h"
#include "face/pipeline.h"
#include "network/evaluation.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"
#include "simd/kernels.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Maps = std::vector<float>;

constexpr size_t kMaxImage_bytes = size_t{32} << 20;
constexpr size_t kDemoImages = 3;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The images that were asked for, or some of the demo's.
std::vector<fs::path> images_to_run(const BenchNetworkOptions& options) {
  if (!options.images.empty()) return options.images;
  std::vector<fs::path> images;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(demo_people(), ignored))
    if (entry.path().extension() == ".webp" || entry.path().extension() == ".jpg" ||
        entry.path().extension() == ".png")
      images.push_back(entry.path());
  std::ranges::sort(images);
  images.resize(std::min(images.size(), kDemoImages));
  return images;
}

// The input maps of every image with a usable face.
Result<std::vector<Maps>> read_maps(const std::vector<fs::path>& images,
                                    const network::InputGeometry& geometry) {
  BAUTA_TRY(const std::unique_ptr<face::Detector> detector, face::make_detector("haar5"));
  face::FaceOptions options;
  options.choice = face::FaceChoice::largest_central;
  std::vector<Maps> maps;
  for (const fs::path& path : images) {
    BAUTA_TRY(const Bytes bytes, read_file(path, kMaxImage_bytes));
    BAUTA_TRY(const face::FaceOutcome outcome, face::find_face(bytes, *detector, options));
    if (const face::FoundFace* face = outcome.face())
      maps.push_back(network::input_maps(face->aligned.image.rgb, geometry));
  }
  if (maps.empty())
    return make_error(ErrorCode::invalid_argument, "there is no face in any of {} images",
                      images.size());
  return maps;
}

Result<secret::SecretKey> fresh_key(const ckks::Parameters& parameters) {
  BAUTA_TRY(const ring::SecretSeed fresh, ring::SecretSeed::fresh());
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
  std::ranges::copy(fresh.bytes(), seed.data());
  return secret::SecretKey::expand(parameters, seed, "benchmark");
}

Result<std::shared_ptr<const ckks::KeySet>> make_keys(const circuits::Plan& plan,
                                                      const secret::SecretKey& key) {
  BAUTA_TRY(ckks::KeySet made, ckks::KeySet::create(key.id(), plan.ring.stages()));
  Progress progress("making keys", plan.keys.size());
  for (const ckks::KeyUse& use : plan.keys) {
    const ckks::KeySwitchShape shape = *made.stage(use.limbs);
    if (use.element == ckks::KeyUse::kRelinearization) {
      BAUTA_TRY(auto relinearization, secret::generate_relinearization_key(key, shape));
      BAUTA_CHECK(made.add(std::move(relinearization)));
    } else {
      BAUTA_TRY(auto galois, secret::generate_galois_key(key, use.element, shape));
      BAUTA_CHECK(made.add(std::move(galois)));
    }
    progress.advance();
  }
  return std::make_shared<const ckks::KeySet>(std::move(made));
}

struct Agreement {
  double cosine_min = 1, error_max = 0, squared_errors = 0;
  size_t values = 0;

  void add(std::span<const double> encrypted, std::span<const float> plain) {
    double product = 0, squares = 0, plain_squares = 0;
    for (size_t i = 0; i < plain.size(); ++i) {
      const double error = encrypted[i] - plain[i];
      product += encrypted[i] * plain[i];
      squares += encrypted[i] * encrypted[i];
      plain_squares += double{plain[i]} * plain[i];
      error_max = std::max(error_max, std::abs(error));
      squared_errors += error * error;
    }
    values += plain.size();
    cosine_min = std::min(cosine_min, product / std::sqrt(squares * plain_squares));
  }
  double error_rms() const { return std::sqrt(squared_errors / static_cast<double>(values)); }
};

Result<std::vector<double>> decrypt_embedding(const circuits::Plan& plan,
                                              const secret::SecretKey& key,
                                              const ckks::EvaluationCiphertext& reference) {
  BAUTA_TRY(const ring::SecretCoefficients decrypted,
            secret::decrypt(key, to_coefficient(reference.clone())));
  std::vector<ring::ConstLimb> limbs;
  for (size_t i = 0; i < decrypted.limb_count(); ++i) limbs.push_back(decrypted.limb(i));
  const std::vector<double> values = ckks::centred_values(limbs, decrypted.basis());
  std::vector<double> embedding;
  for (size_t i = 0; i < plan.gallery.dimension(); ++i)
    embedding.push_back(values[i * values.size() / plan.gallery.width()] / reference.scale);
  return embedding;
}

Result<std::vector<ckks::SeededCiphertext>> encrypt_image(const circuits::Plan& plan,
                                                          const secret::SecretKey& key,
                                                          const network::InputGeometry& input,
                                                          const Maps& maps) {
  std::vector<ckks::SeededCiphertext> image;
  for (size_t i = 0; i < plan.ciphertexts(); ++i) {
    BAUTA_TRY(const ckks::Message message, circuits::encode_image(plan, input, maps, i));
    BAUTA_TRY(ckks::SeededCiphertext seeded, secret::encrypt(key, message, plan.ring.limbs()));
    image.push_back(std::move(seeded));
  }
  return image;
}

struct Timings {
  double keys = 0, prepare = 0;
  std::vector<double> runs, runs_predicted;
  // Of a run in which each group of patches has a machine like this one to itself, and one of them
  // adds up the shares: the slowest group, and what comes after all groups.
  std::vector<double> critical_paths;
  std::vector<std::vector<double>> layers, layers_predicted;  // [layer][run]

  // As the kernels go now: the load of a shared machine changes within seconds.
  void predict(const circuits::Plan& plan, ThreadPool& pool) {
    const circuits::PassTimes passes = circuits::measure_passes(plan.ring, pool);
    runs_predicted.push_back(circuits::seconds(plan.work(), passes));
    for (size_t i = 0; i < plan.steps.size(); ++i)
      layers_predicted[i].push_back(circuits::seconds(plan.steps[i].work, passes));
  }
};

Json to_json(const circuits::Plan& plan, const Timings& timings) {
  Json layers = Json::array();
  for (size_t i = 0; i < plan.steps.size(); ++i)
    layers.push_back({{"name", plan.steps[i].name},
                      {"seconds", median(timings.layers[i])},
                      {"seconds_predicted", median(timings.layers_predicted[i])},
                      {"level", plan.steps[i].limbs - circuits::kBaseLimbs}});
  return layers;
}

std::string to_text(const Json& json) {
  std::string text =
      fmt::format("{:<24} {:>6} {:>10} {:>10}\n", "layer", "level", "seconds", "predicted");
  for (const Json& layer : json["layers"])
    text += fmt::format("{:<24} {:6} {:10.4f} {:10.4f}\n", layer["name"].get<std::string>(),
                        layer["level"].get<size_t>(), layer["seconds"].get<double>(),
                        layer["seconds_predicted"].get<double>());
  text += fmt::format(
      "{}, {} threads, {}: {:.2f} s an image (predicted {:.2f}), {:.2f} s the first with its "
      "weights; keys {:.1f} s\n{} groups of patches: {:.2f} s with a machine like this for each\n"
      "memory {:.2f} GB at most (predicted {:.2f}), keys {:.2f} GB on the "
      "wire, an image {:.2f} MB\nN {}, log QP {:.1f}, {} rotations and {} hoisted, {} plaintext "
      "products\n{} images against the network in the clear: cosine at least {:.7f}, largest "
      "error {:.1e}, rms {:.1e} (predicted {:.1e})\n",
      json["model"].get<std::string>(), json["threads"].get<size_t>(),
      json["isa"].get<std::string>(), json["seconds_warm"].get<double>(),
      json["seconds_predicted"].get<double>(), json["seconds_cold"].get<double>(),
      json["seconds_keys"].get<double>(), json["groups"].get<size_t>(),
      json["seconds_critical_path"].get<double>(), json["peak_rss_bytes"].get<double>() / 1e9,
      json["bytes_predicted"].get<double>() / 1e9, json["key_bytes"].get<double>() / 1e9,
      json["upload_bytes"].get<double>() / 1e6, json["n"].get<size_t>(),
      json["log_qp"].get<double>(), json["rotations"].get<size_t>(),
      json["rotations_hoisted"].get<size_t>(), json["plain_products"].get<size_t>(),
      json["images"].get<size_t>(), json["cosine_to_plain_min"].get<double>(),
      json["embedding_error_max"].get<double>(), json["embedding_error_rms"].get<double>(),
      json["embedding_error_predicted"].get<double>());
  return text;
}

uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Result<Report> bench_network(const CommonOptions& common, const BenchNetworkOptions& options) {
  BAUTA_TRY(const network::Network network, network::read_network(options.model));
  BAUTA_TRY(const circuits::Plan plan, circuits::make_wide_plan(network));
  BAUTA_TRY(const std::vector<Maps> images, read_maps(images_to_run(options), network.input));
  const uint64_t bytes_before = peak_rss_bytes();
  ThreadPool pool(common.threads == 0 ? available_processors() : common.threads);

  Timings timings;
  Clock::time_point start = Clock::now();
  BAUTA_TRY(const secret::SecretKey key, fresh_key(plan.ring.parameters()));
  BAUTA_TRY(const auto keys, make_keys(plan, key));
  timings.keys = seconds_since(start);
  const ckks::Evaluator evaluator(plan.ring.parameters(), keys, &pool);
  start = Clock::now();
  BAUTA_TRY(const auto prepared,
            circuits::EncryptedNetwork<ckks::Evaluator>::prepare(plan, network, evaluator));
  timings.prepare = seconds_since(start);

  Agreement agreement;
  timings.layers.resize(plan.steps.size());
  timings.layers_predicted.resize(plan.steps.size());
  // The first image runs twice, so that there is always a warm run.
  Progress progress("images", images.size() + 1);
  for (size_t run = 0; run <= images.size(); ++run) {
    const Maps& maps = images[run == 0 ? 0 : run - 1];
    BAUTA_TRY(const std::vector<ckks::SeededCiphertext> seeded,
              encrypt_image(plan, key, network.input, maps));
    if (run > 0) timings.predict(plan, pool);
    start = Clock::now();
    std::vector<ckks::EvaluationCiphertext> image;
    for (const ckks::SeededCiphertext& ciphertext : seeded)
      image.push_back(to_evaluation(expand(ciphertext), &pool));
    Clock::time_point layer_start = start;
    std::vector<double> layer_seconds(plan.steps.size());
    const double share_of_expansion = seconds_since(start) / static_cast<double>(plan.groups);
    Clock::time_point group_start = Clock::now();
    double slowest_group = 0;
    ckks::EvaluationCiphertext result =
        prepared.run(std::move(image), [&](size_t layer, const auto& output) {
          layer_seconds[layer] += seconds_since(layer_start);
          layer_start = Clock::now();
          if (!output.empty()) return;
          slowest_group = std::max(slowest_group, seconds_since(group_start));
          group_start = layer_start;
        });
    result = prepared.reference(std::move(result));
    timings.runs.push_back(seconds_since(start));
    if (run > 0)
      timings.critical_paths.push_back(share_of_expansion + slowest_group +
                                       seconds_since(group_start));
    for (size_t layer = 0; run > 0 && layer < layer_seconds.size(); ++layer)
      timings.layers[layer].push_back(layer_seconds[layer]);
    BAUTA_TRY(const std::vector<double> embedding, decrypt_embedding(plan, key, result));
    agreement.add(embedding, network::evaluate(network, maps));
    progress.advance();
  }
  Report report;
  report.json = {
      {"model", network.name},
      {"pixels", network.input.side},
      {"patches", network.input.patches()},
      {"n", plan.ring.parameters().degree()},
      {"depth", network.depth()},
      {"log_qp", plan.ring.parameters().log2_qp()},
      {"threads", pool.size()},
      {"isa", simd::isa_name(simd::kernels().isa)},
      {"images", images.size()},
      {"seconds_keys", timings.keys},
      {"seconds_cold", timings.prepare + timings.runs.front()},
      {"seconds_warm", median({timings.runs.begin() + 1, timings.runs.end()})},
      {"seconds_predicted", median(timings.runs_predicted)},
      {"groups", plan.groups},
      {"seconds_critical_path", median(timings.critical_paths)},
      {"peak_rss_bytes", peak_rss_bytes()},
      {"bytes_predicted", bytes_before + plan.bytes()},
      {"key_bytes", plan.key_wire_bytes()},
      {"upload_bytes", plan.ciphertexts() * circuits::image_bytes(plan)},
      {"rotations", plan.rotations},
      {"rotations_hoisted", plan.rotations_hoisted},
      {"plain_products", plan.plain_products},
      {"cosine_to_plain_min", agreement.cosine_min},
      {"embedding_error_max", agreement.error_max},
      {"embedding_error_rms", agreement.error_rms()},
      {"embedding_error_predicted", circuits::predicted_error(plan, network, images.front())},
      {"layers", to_json(plan, timings)}};
  report.text = to_text(report.json);
  return report;
}

}  // namespace bauta::cli
