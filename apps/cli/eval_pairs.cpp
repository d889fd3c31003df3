// 1:1 accuracy on a list of pairs, in the clear or under encryption.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "apps/cli/arguments.h"
#include "apps/cli/temporary_deployment.h"
#include "base/file.h"
#include "face/verification_set.h"
#include "match/flood.h"

namespace bauta::cli {
namespace {

constexpr size_t kMaxImage_bytes = size_t{32} << 20;

// Pairs of labelled faces: photos, or images that are aligned already.
struct LabelledFaces {
  std::vector<face::ImagePair> pairs;
  // Of `pairs`, whatever is left of them.
  std::function<Result<face::EmbeddedImages>(const std::vector<face::ImagePair>& pairs,
                                             const face::Engine&, ThreadPool&,
                                             const face::Progress&)>
      embed;
  // A face that was found before, by the path of its image.
  std::function<Result<face::AlignedFace>(const std::filesystem::path&)> find;
};

Result<LabelledFaces> read_photos(const EvalOptions& options) {
  BAUTA_TRY(std::vector<face::ImagePair> all, face::read_pairs(options.pairs, options.images));
  BAUTA_TRY(std::shared_ptr<const face::Detector> detector, face::make_detector(options.detector));
  face::FaceOptions face_options;
  face_options.choice = face::FaceChoice::largest_central;
  return LabelledFaces{std::move(all),
                       [=, name = options.detector](const auto& pairs, const auto& engine,
                                                    auto& threads, const auto& progress) {
                         return face::embed_images(
                             face::images_of(pairs), [&] { return face::make_detector(name); },
                             engine, face_options, threads, progress);
                       },
                       [=](const std::filesystem::path& path) -> Result<face::AlignedFace> {
                         BAUTA_TRY(const Bytes image, read_file(path, kMaxImage_bytes));
                         BAUTA_TRY(const face::FaceOutcome outcome,
                                   face::find_face(image, *detector, face_options));
                         BAUTA_ASSERT(outcome.face() != nullptr);
                         return outcome.face()->aligned;
                       }};
}

Result<LabelledFaces> read_set(const std::filesystem::path& path) {
  BAUTA_TRY(Bytes bytes, read_file(path, face::kMaxVerificationSet_bytes));
  const auto file = std::make_shared<const Bytes>(std::move(bytes));  // which the set points into
  BAUTA_TRY(const face::VerificationSet set, face::parse_verification_set(*file));
  return LabelledFaces{
      set.pairs(),
      [set, file](const auto& pairs, const auto& engine, auto& threads, const auto& progress) {
        return face::embed_set(set, pairs, engine, threads, progress);
      },
      [set, file](const std::filesystem::path& image) { return set.face(image); }};
}

// In place of scores, under a key that tells none.
constexpr double kAccepted = 1, kRejected = -1;

// The share of pairs that a threshold judges rightly; a pair without a score is rejected.
double accuracy_at(double threshold, const std::vector<face::ScoredPair>& pairs) {
  const auto right = std::ranges::count_if(pairs, [&](const face::ScoredPair& pair) {
    return (pair.score.value_or(kRejected) >= threshold) == pair.mated;
  });
  return static_cast<double>(right) / static_cast<double>(pairs.size());
}

// Scores pairs through the whole encrypted path and keeps how far each lies from the score in the
// clear.
class EncryptedScorer {
 public:
  // images: whose embeddings will be scored.
  static Result<std::unique_ptr<EncryptedScorer>> create(const EvalOptions& options, size_t threads,
                                                         const LabelledFaces& faces,
                                                         const face::EmbeddedImages& images) {
    BAUTA_TRY(auto deployment,
              TemporaryDeployment::create({options.engine, options.detector}, options.mode, threads,
                                          !options.production_key));
    std::unique_ptr<EncryptedScorer> scorer(
        new EncryptedScorer(std::move(deployment), options.production_key));
    if (options.mode != kImageMode) return scorer;
    scorer->find_face_ = faces.find;
    for (const auto& [path, image] : images)
      if (image.embedding) scorer->paths_.try_emplace(*image.embedding, path);
    return scorer;
  }

  Result<double> operator()(const face::Embedding& reference, const face::Embedding& probe) {
    BAUTA_TRY(const std::string subject, enrol(reference));
    BAUTA_TRY(const edge::Recognition recognition, verify(subject, probe));
    const double plain = face::cosine_score(reference, probe);
    const double threshold = deployment_->edge().contract().threshold_verify();
    const bool accepted = recognition.decision == v1::DECISION_ACCEPTED;
    if ((plain >= threshold) != accepted) {
      ++decisions_differ_;
      if (std::abs(plain - threshold) > close_score_) ++clear_decisions_differ_;
    }
    if (only_decisions_) return accepted ? kAccepted : kRejected;
    const double error = recognition.evaluation_score - plain;
    error_max_ = std::max(error_max_, std::abs(error));
    squared_errors_ += error * error;
    ++scores_;
    return recognition.evaluation_score;
  }

  double error_max() const { return error_max_; }
  double error_rms() const {
    return scores_ == 0 ? 0 : std::sqrt(squared_errors_ / static_cast<double>(scores_));
  }
  // Verifications decided otherwise than in the clear; and of these, how many whose score is not
  // close to the threshold.
  size_t decisions_differ() const { return decisions_differ_; }
  size_t clear_decisions_differ() const { return clear_decisions_differ_; }

 private:
  EncryptedScorer(std::unique_ptr<TemporaryDeployment> deployment, bool only_decisions)
      : deployment_(std::move(deployment)),
        only_decisions_(only_decisions),
        close_score_(only_decisions ? 4 * match::kFloodDeviation : 0.01) {}

  // An image that stands in several pairs is enrolled once.
  Result<std::string> enrol(const face::Embedding& reference) {
    const auto [entry, added] =
        subjects_.try_emplace(reference, fmt::format("image-{}", subjects_.size()));
    if (!added) return entry->second;
    edge::Edge& edge = deployment_->edge();
    if (!find_face_) {
      BAUTA_CHECK(
          edge.enroll(TemporaryDeployment::kGallery, entry->second, std::span(&reference, 1)));
    } else {
      BAUTA_TRY(const face::AlignedFace face, aligned(reference));
      BAUTA_CHECK(edge.enroll(TemporaryDeployment::kGallery, entry->second, face));
    }
    return entry->second;
  }

  Result<edge::Recognition> verify(const std::string& subject, const face::Embedding& probe) {
    edge::Edge& edge = deployment_->edge();
    if (!find_face_) return edge.verify(TemporaryDeployment::kGallery, subject, probe);
    BAUTA_TRY(const face::AlignedFace face, aligned(probe));
    return edge.verify(TemporaryDeployment::kGallery, subject, face);
  }

  // The face that gave the embedding, found again.
  Result<face::AlignedFace> aligned(const face::Embedding& embedding) const {
    return find_face_(paths_.at(embedding));
  }

  std::unique_ptr<TemporaryDeployment> deployment_;
  bool only_decisions_;
  double close_score_;
  decltype(LabelledFaces::find) find_face_;  // in image mode
  std::map<face::Embedding, std::filesystem::path> paths_;
  std::map<face::Embedding, std::string> subjects_;
  double error_max_ = 0, squared_errors_ = 0;
  size_t scores_ = 0, decisions_differ_ = 0, clear_decisions_differ_ = 0;
};

// Spread evenly over the list, so that a sample keeps the balance of the whole.
std::vector<face::ImagePair> sample_evenly(const std::vector<face::ImagePair>& pairs,
                                           size_t count) {
  if (count == 0 || count >= pairs.size()) return pairs;
  std::vector<face::ImagePair> sample;
  for (size_t i = 0; i < count; ++i) sample.push_back(pairs[i * pairs.size() / count]);
  return sample;
}

}  // namespace

Result<Report> eval_pairs(const CommonOptions& common, const EvalOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (options.production_key && options.mode == "plain")
    return make_error(ErrorCode::invalid_argument, "--production-key measures an encrypted --mode");
  if (options.set.empty() == (options.pairs.empty() || options.images.empty()))
    return make_error(ErrorCode::invalid_argument, "give either --pairs and --images, or --set");
  BAUTA_TRY(const LabelledFaces faces,
            options.set.empty() ? read_photos(options) : read_set(options.set));
  const std::vector<face::ImagePair> pairs = sample_evenly(faces.pairs, options.sample);
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(options.engine));

  ThreadPool threads(common.threads == 0 ? available_processors() : common.threads);
  face::EmbeddedImages images;
  {
    Progress progress("images", face::images_of(pairs).size());
    BAUTA_TRY(images,
              faces.embed(pairs, *engine, threads, [&](size_t, size_t) { progress.advance(); }));
  }
  size_t failures_to_enrol = 0;
  for (const auto& [path, image] : images)
    if (!image.embedding) ++failures_to_enrol;

  std::unique_ptr<EncryptedScorer> encrypted;
  const face::Scorer plain_scorer = [](const face::Embedding& reference,
                                       const face::Embedding& probe) -> Result<double> {
    return face::cosine_score(reference, probe);
  };
  face::Scorer scorer = plain_scorer;
  if (options.mode != "plain") {
    BAUTA_TRY(encrypted, EncryptedScorer::create(options, common.threads, faces, images));
    scorer = std::ref(*encrypted);
  }
  std::vector<face::ScoredPair> scored;
  {
    Progress progress("pairs", pairs.size());
    BAUTA_TRY(scored, face::score_pairs(pairs, images, scorer,
                                        [&](size_t, size_t) { progress.advance(); }));
  }
  BAUTA_TRY(const face::PairsReport result, face::report_pairs(scored));
  std::optional<face::Calibration> calibration;
  if (options.target_fmr > 0) {
    BAUTA_TRY(calibration, face::calibrate(scored, options.target_fmr));
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const bool has_scores = encrypted && !options.production_key;

  Report report;
  report.json = {
      {"engine", engine->contract().engine},
      {"detector", options.set.empty() ? Json(options.detector) : Json()},
      {"mode", options.mode},
      {"pairs", result.pairs},
      {"folds", result.folds},
      {"accuracy_mean", result.accuracy_mean},
      {"accuracy_std", result.accuracy_std},
      {"eer", result.eer},
      {"tar_at_far_1e-2", result.tar_at_far_1e_2},
      {"tar_at_far_1e-3", result.tar_at_far_1e_3},
      {"failures_to_enrol", failures_to_enrol},
      {"failed_pairs", result.failed_pairs},
      {"score_error_max", has_scores ? Json(encrypted->error_max()) : Json()},
      {"score_error_rms", has_scores ? Json(encrypted->error_rms()) : Json()},
      {"decisions_differ", encrypted ? Json(encrypted->decisions_differ()) : Json()},
      {"clear_decisions_differ", encrypted ? Json(encrypted->clear_decisions_differ()) : Json()},
      {"seconds", seconds}};
  report.text = fmt::format(
      "{} ({}), {} pairs in {} folds: accuracy {:.2f} % +- {:.2f}, EER {:.2f} %, TAR {:.2f} % at "
      "FAR 1 %, "
      "{:.2f} % at 0.1 %; {} of {} images could not be enrolled; {:.0f} s\n",
      engine->contract().engine, options.mode, result.pairs, result.folds,
      100 * result.accuracy_mean, 100 * result.accuracy_std, 100 * result.eer,
      100 * result.tar_at_far_1e_2, 100 * result.tar_at_far_1e_3, failures_to_enrol, images.size(),
      seconds);
  if (calibration) {
    report.json["calibration"] = {{"target_fmr", options.target_fmr},
                                  {"threshold", calibration->threshold},
                                  {"fmr", calibration->fmr},
                                  {"fnmr", calibration->fnmr}};
    report.text += fmt::format("at threshold {:.4f}: FMR {:.2e} (asked for {:.2e}), FNMR {:.4f}\n",
                               calibration->threshold, calibration->fmr, options.target_fmr,
                               calibration->fnmr);
  }
  if (options.production_key) {
    const double threshold = engine->contract().threshold_verify;
    BAUTA_TRY(const std::vector<face::ScoredPair> plain,
              face::score_pairs(pairs, images, plain_scorer));
    const double decided = accuracy_at(0, scored), in_the_clear = accuracy_at(threshold, plain);
    report.json["threshold"] = threshold;
    report.json["accuracy_at_threshold"] = decided;
    report.json["accuracy_at_threshold_plain"] = in_the_clear;
    report.text = fmt::format(
        "{} ({}), {} pairs, decisions at {} under a key as in production: accuracy {:.2f} %, in "
        "the "
        "clear {:.2f} %; {} decisions differ, {} of them not close to the threshold; {:.0f} s\n",
        engine->contract().engine, options.mode, result.pairs, threshold, 100 * decided,
        100 * in_the_clear, encrypted->decisions_differ(), encrypted->clear_decisions_differ(),
        seconds);
  } else if (encrypted) {
    report.text += fmt::format(
        "encrypted against plain scores: largest difference {:.2e}, rms {:.2e}; {} "
        "decisions differ, {} of them not close to the threshold\n",
        encrypted->error_max(), encrypted->error_rms(), encrypted->decisions_differ(),
        encrypted->clear_decisions_differ());
  }
  return report;
}

}  // namespace bauta::cli
