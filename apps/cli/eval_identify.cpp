// 1:N open-set identification at the engine's threshold, which was fixed beforehand on other
// people.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "apps/cli/arguments.h"
#include "apps/cli/det_plot.h"
#include "apps/cli/served_deployment.h"
#include "base/file.h"
#include "face/evaluation.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

struct Probe {
  fs::path image;
  std::string subject;  // empty: of nobody who is enrolled
};

// Who is enrolled and who is asked for. People with several photos are enrolled first, by name, so
// that there are mated probes.
struct Plan {
  std::vector<std::pair<std::string, fs::path>> enrolled;  // subject, image
  std::vector<Probe> probes;  // half mated, half not, as far as there are people
};

Result<Plan> make_plan(const EvalOptions& options) {
  std::error_code reason;
  std::map<std::string, std::vector<fs::path>> people;
  for (const auto& entry : fs::directory_iterator(options.images, reason)) {
    if (!entry.is_directory()) continue;
    std::vector<fs::path>& images = people[entry.path().filename().string()];
    for (const auto& image : fs::directory_iterator(entry.path(), reason))
      images.push_back(image.path());
    std::sort(images.begin(), images.end());
  }
  if (reason)
    return make_error(ErrorCode::not_found, "cannot read {}: {}", options.images.string(),
                      reason.message());
  std::vector<std::pair<std::string, std::vector<fs::path>>> ordered(people.begin(), people.end());
  std::stable_partition(ordered.begin(), ordered.end(),
                        [](const auto& person) { return person.second.size() > 1; });
  Plan plan;
  std::vector<Probe> mated, nonmated;
  for (const auto& [name, images] : ordered) {
    if (images.empty()) continue;
    if (plan.enrolled.size() < options.enrolled) {
      plan.enrolled.emplace_back(name, images[0]);
      if (images.size() > 1) mated.push_back({images[1], name});
    } else {
      nonmated.push_back({images[0], ""});
    }
  }
  if (plan.enrolled.empty() || mated.empty() || nonmated.empty())
    return make_error(
        ErrorCode::invalid_argument,
        "{} has too few people: some must have two images, and some must be left when {} are "
        "enrolled (--enrolled)",
        options.images.string(), options.enrolled);
  mated.resize(std::min(mated.size(), (options.probes + 1) / 2));
  nonmated.resize(std::min(nonmated.size(), options.probes / 2));
  plan.probes = std::move(mated);
  plan.probes.insert(plan.probes.end(), nonmated.begin(), nonmated.end());
  return plan;
}

struct Outcome {
  std::string best;   // the enrolled subject with the highest score
  double score = -1;  // of it
  bool accepted = false;
};

// How a gallery is enrolled and searched. An image that cannot be used is no error: enroll() says
// false, identify() nothing.
class Matcher {
 public:
  virtual ~Matcher() = default;
  virtual Result<bool> enroll(const std::string& subject, const fs::path& image) = 0;
  virtual Result<std::optional<Outcome>> identify(const fs::path& image) = 0;
};

// From embeddings made beforehand.
class EmbeddingMatcher : public Matcher {
 public:
  explicit EmbeddingMatcher(face::EmbeddedImages images) : images_(std::move(images)) {}
  Result<bool> enroll(const std::string& subject, const fs::path& image) final {
    const face::EmbeddedImage& embedded = images_.at(image);
    if (embedded.embedding) BAUTA_CHECK(enroll_embedding(subject, *embedded.embedding));
    return embedded.embedding.has_value();
  }
  Result<std::optional<Outcome>> identify(const fs::path& image) final {
    const face::EmbeddedImage& embedded = images_.at(image);
    if (!embedded.embedding) return std::optional<Outcome>();
    BAUTA_TRY(Outcome outcome, identify_embedding(*embedded.embedding));
    return std::optional(std::move(outcome));
  }

 private:
  virtual Status enroll_embedding(const std::string& subject, const face::Embedding& reference) = 0;
  virtual Result<Outcome> identify_embedding(const face::Embedding& probe) = 0;

  const face::EmbeddedImages images_;
};

class PlainMatcher final : public EmbeddingMatcher {
 public:
  PlainMatcher(face::EmbeddedImages images, double threshold)
      : EmbeddingMatcher(std::move(images)), threshold_(threshold) {}

 private:
  Status enroll_embedding(const std::string& subject, const face::Embedding& reference) override {
    references_.emplace_back(subject, reference);
    return {};
  }
  Result<Outcome> identify_embedding(const face::Embedding& probe) override {
    Outcome outcome;
    for (const auto& [subject, reference] : references_) {
      const double score = face::cosine_score(reference, probe);
      if (score > outcome.score) outcome = {subject, score, score >= threshold_};
    }
    return outcome;
  }

  double threshold_;
  std::vector<std::pair<std::string, face::Embedding>> references_;
};

class EncryptedMatcher final : public EmbeddingMatcher {
 public:
  EncryptedMatcher(face::EmbeddedImages images, std::unique_ptr<TemporaryDeployment> deployment)
      : EmbeddingMatcher(std::move(images)), deployment_(std::move(deployment)) {}

 private:
  Status enroll_embedding(const std::string& subject, const face::Embedding& reference) override {
    BAUTA_CHECK(deployment_->edge().enroll(TemporaryDeployment::kGallery, subject,
                                           std::span(&reference, 1)));
    return {};
  }
  Result<Outcome> identify_embedding(const face::Embedding& probe) override {
    BAUTA_TRY(const edge::Recognition recognition,
              deployment_->edge().identify(TemporaryDeployment::kGallery, probe));
    return Outcome{recognition.evaluation_candidate, recognition.evaluation_score,
                   recognition.decision == v1::DECISION_ACCEPTED};
  }

  std::unique_ptr<TemporaryDeployment> deployment_;
};

// A device that sends the images over HTTPS to roles in processes of their own. Scores never leave
// the key service: what is accepted counts as 1, the rest as -1.
class NetworkMatcher final : public Matcher {
 public:
  static Result<std::unique_ptr<Matcher>> start(const EvalOptions& options) {
    BAUTA_TRY(std::unique_ptr<ServedDeployment> deployment,
              ServedDeployment::start({options.engine, options.detector, 0, {}}));
    std::unique_ptr<NetworkMatcher> matcher(new NetworkMatcher(std::move(deployment)));
    BAUTA_TRY(
        const rest::ClientReply created,
        matcher->device_.post_json("/v1/galleries", Json{{"gallery", kNetworkGallery}}.dump()));
    if (created.status != 201) return failed(created);
    return std::unique_ptr<Matcher>(std::move(matcher));
  }

  Result<bool> enroll(const std::string& subject, const fs::path& image) override {
    BAUTA_TRY(const Bytes bytes, read_file(image, kMaxImage_bytes));
    BAUTA_TRY(const rest::ClientReply reply,
              device_.post_images(path("subjects"), {{"subject", subject}}, {bytes}));
    if (reply.status != 201 && reply.status != 422) return failed(reply);
    return reply.status == 201;
  }
  Result<std::optional<Outcome>> identify(const fs::path& image) override {
    BAUTA_TRY(const Bytes bytes, read_file(image, kMaxImage_bytes));
    BAUTA_TRY(const rest::ClientReply reply, device_.post_images(path("identify"), {}, {bytes}));
    if (reply.status != 200) return failed(reply);
    const Json answer = Json::parse(reply.body);
    if (answer["decision"] == "failed") return std::optional<Outcome>();
    const bool accepted = answer["decision"] == "accepted";
    return std::optional(Outcome{accepted ? answer["subject"].get<std::string>() : std::string(),
                                 accepted ? 1.0 : -1.0, accepted});
  }

 private:
  static constexpr const char* kNetworkGallery = "evaluation";
  static constexpr size_t kMaxImage_bytes = size_t{8} << 20;

  explicit NetworkMatcher(std::unique_ptr<ServedDeployment> deployment)
      : deployment_(std::move(deployment)), device_(deployment_->connect_device()) {}

  static std::string path(const char* what) {
    return fmt::format("/v1/galleries/{}/{}", kNetworkGallery, what);
  }
  static Error failed(const rest::ClientReply& reply) {
    return make_error(ErrorCode::unavailable, "the edge answers {}: {}", reply.status, reply.body);
  }

  std::unique_ptr<ServedDeployment> deployment_;
  rest::HttpsClient device_;
};

constexpr const char* kNetworkMode = "network";

Result<face::EmbeddedImages> embed(const Plan& plan, const EvalOptions& options,
                                   const face::Engine& engine, size_t thread_count) {
  std::vector<fs::path> paths;
  for (const auto& [subject, image] : plan.enrolled) paths.push_back(image);
  for (const Probe& probe : plan.probes) paths.push_back(probe.image);
  ThreadPool threads(thread_count == 0 ? available_processors() : thread_count);
  face::FaceOptions face_options;
  face_options.choice = face::FaceChoice::largest_central;
  Progress progress("images", paths.size());
  return face::embed_images(
      paths, [&] { return face::make_detector(options.detector); }, engine, face_options, threads,
      [&](size_t, size_t) { progress.advance(); });
}

Result<std::unique_ptr<Matcher>> make_matcher(const Plan& plan, const EvalOptions& options,
                                              const face::Engine& engine, size_t threads) {
  if (options.mode == kNetworkMode) return NetworkMatcher::start(options);
  BAUTA_TRY(face::EmbeddedImages images, embed(plan, options, engine, threads));
  if (options.mode == "plain")
    return std::unique_ptr<Matcher>(
        new PlainMatcher(std::move(images), engine.contract().threshold_identify));
  BAUTA_TRY(auto deployment, TemporaryDeployment::create({options.engine, options.detector}));
  return std::unique_ptr<Matcher>(new EncryptedMatcher(std::move(images), std::move(deployment)));
}

// What happened to each probe, and the rates at any threshold.
struct Results {
  struct Judged {
    Probe probe;
    std::optional<Outcome> outcome;  // nothing: the image was refused
  };
  std::vector<Judged> judged;

  bool mated(const Judged& j) const { return !j.probe.subject.empty(); }
  size_t mated_count() const {
    return static_cast<size_t>(
        std::count_if(judged.begin(), judged.end(), [&](const Judged& j) { return mated(j); }));
  }
  static double share(size_t part, size_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }
  // Non-mated probes whose best score reaches the threshold.
  double fpir(double threshold) const {
    size_t accepted = 0;
    for (const Judged& j : judged)
      if (!mated(j) && j.outcome && j.outcome->score >= threshold) ++accepted;
    return share(accepted, judged.size() - mated_count());
  }
  // Mated probes not identified as the right subject.
  double fnir(double threshold) const {
    size_t missed = 0;
    for (const Judged& j : judged)
      if (mated(j) &&
          !(j.outcome && j.outcome->score >= threshold && j.outcome->best == j.probe.subject))
        ++missed;
    return share(missed, mated_count());
  }
};

// What follows from scores: the share of mated probes whose best match is right, and the rates at
// other thresholds.
void add_scores(Report& report, const Results& results) {
  size_t rank1 = 0;
  for (const Results::Judged& j : results.judged)
    if (results.mated(j) && j.outcome && j.outcome->best == j.probe.subject) ++rank1;
  report.json["rank1"] = Results::share(rank1, results.mated_count());
  report.json["curve"] = Json::array();
  for (int step = 0; step <= 50; ++step) {
    const double at = 0.02 * step;
    report.json["curve"].push_back(
        {{"threshold", at}, {"fpir", results.fpir(at)}, {"fnir", results.fnir(at)}});
  }
}

// At every threshold at which a rate changes, and at the engine's.
std::vector<OpenSetRates> rates_of(const Results& results, double threshold) {
  std::vector<double> thresholds{threshold};
  for (const Results::Judged& j : results.judged)
    if (j.outcome) thresholds.push_back(std::nextafter(j.outcome->score, 2.0));
  std::ranges::sort(thresholds);
  std::vector<OpenSetRates> rates;
  for (const double at : thresholds) rates.push_back({at, results.fpir(at), results.fnir(at)});
  return rates;
}

// The lowest threshold with at most that false positive rate.
Status add_calibration(Report& report, const Results& results, double threshold, double target) {
  const size_t nonmated = results.judged.size() - results.mated_count();
  if (static_cast<double>(nonmated) * target < 1)
    return make_error(ErrorCode::invalid_argument,
                      "a false positive rate of {:g} cannot be told from {} non-mated probes",
                      target, nonmated);
  const std::vector<OpenSetRates> rates = rates_of(results, threshold);
  const auto found =
      std::ranges::find_if(rates, [&](const OpenSetRates& each) { return each.fpir <= target; });
  report.json["calibration"] = {{"target_fpir", target},
                                {"threshold", found->threshold},
                                {"fpir", found->fpir},
                                {"fnir", found->fnir}};
  report.text += fmt::format("at threshold {:.4f}: FPIR {:.4f} (asked for {:.4f}), FNIR {:.4f}\n",
                             found->threshold, found->fpir, target, found->fnir);
  return {};
}

Status draw(const fs::path& path, const std::string& engine, const Results& results,
            double threshold) {
  const size_t probes =
      std::max(results.mated_count(), results.judged.size() - results.mated_count());
  const double least = std::pow(10, -std::ceil(std::log10(static_cast<double>(probes))));
  return write_file_atomically(
      path, as_bytes(det_svg(engine, rates_of(results, threshold), threshold, least)));
}

}  // namespace

Result<Report> eval_identify(const CommonOptions& common, const EvalOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (options.mode == kNetworkMode && (options.target_fpir > 0 || !options.svg.empty()))
    return make_error(ErrorCode::invalid_argument,
                      "--target-fpir and --svg need scores, which --mode network does not show");
  BAUTA_TRY(const Plan plan, make_plan(options));
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(options.engine));
  const double threshold = engine->contract().threshold_identify;

  BAUTA_TRY(const std::unique_ptr<Matcher> matcher,
            make_matcher(plan, options, *engine, common.threads));
  size_t enrolled = 0;
  {
    Progress progress("enrolments", plan.enrolled.size());
    for (const auto& [subject, image] : plan.enrolled) {
      progress.advance();
      BAUTA_TRY(const bool usable, matcher->enroll(subject, image));
      if (usable) ++enrolled;
    }
  }
  Results results;
  size_t false_accepts = 0, misidentified = 0, unusable = 0;
  std::vector<std::string> false_rejects;
  {
    Progress progress("probes", plan.probes.size());
    for (const Probe& probe : plan.probes) {
      progress.advance();
      Results::Judged judged{probe, std::nullopt};
      BAUTA_TRY(judged.outcome, matcher->identify(probe.image));
      if (!judged.outcome) ++unusable;
      const bool accepted = judged.outcome && judged.outcome->accepted;
      if (probe.subject.empty() && accepted) ++false_accepts;
      if (!probe.subject.empty() && accepted && judged.outcome->best != probe.subject)
        ++misidentified;
      if (!probe.subject.empty() && !accepted)
        false_rejects.push_back(probe.image.filename().string());
      results.judged.push_back(std::move(judged));
    }
  }
  const size_t mated = results.mated_count();
  Report report;
  report.json = {
      {"engine", engine->contract().engine},
      {"detector", options.detector},
      {"mode", options.mode},
      {"threshold", threshold},
      {"enrolled", enrolled},
      {"failures_to_enrol", plan.enrolled.size() - enrolled},
      {"probes_mated", mated},
      {"probes_nonmated", results.judged.size() - mated},
      {"failures_to_acquire", unusable},
      {"false_accepts", false_accepts},
      {"misidentified", misidentified},
      {"false_rejects", false_rejects},
      {"fpir", results.fpir(threshold)},
      {"fnir", results.fnir(threshold)},
      {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
  if (options.mode != kNetworkMode) add_scores(report, results);
  report.text = fmt::format(
      "{} ({}), threshold {:.4f}: {} enrolled ({} could not be), {} probes of them, {} of others\n"
      "false accepts: {}, wrong identities: {}, false rejects: {} (FPIR {:.4f}, FNIR {:.4f}); {} "
      "probes could not be used\n",
      engine->contract().engine, options.mode, threshold, enrolled, plan.enrolled.size() - enrolled,
      mated, results.judged.size() - mated, false_accepts, misidentified, false_rejects.size(),
      results.fpir(threshold), results.fnir(threshold), unusable);
  if (options.target_fpir > 0)
    BAUTA_CHECK(add_calibration(report, results, threshold, options.target_fpir));
  if (!options.svg.empty())
    BAUTA_CHECK(draw(options.svg, engine->contract().engine, results, threshold));
  for (const std::string& image : false_rejects)
    report.text += fmt::format("  not recognised: {}\n", image);
  return report;
}

}  // namespace bauta::cli
