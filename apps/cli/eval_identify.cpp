// 1:N open-set identification at the engine's threshold, which was fixed beforehand on other
// people.

#include <algorithm>
#include <chrono>
#include <map>

#include "apps/cli/arguments.h"
#include "apps/cli/temporary_deployment.h"
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

// How a gallery is enrolled and searched: in the clear, or under encryption.
class Matcher {
 public:
  virtual ~Matcher() = default;
  virtual Status enroll(const std::string& subject, const face::Embedding& reference) = 0;
  virtual Result<Outcome> identify(const face::Embedding& probe) = 0;
};

class PlainMatcher final : public Matcher {
 public:
  explicit PlainMatcher(double threshold) : threshold_(threshold) {}
  Status enroll(const std::string& subject, const face::Embedding& reference) override {
    references_.emplace_back(subject, reference);
    return {};
  }
  Result<Outcome> identify(const face::Embedding& probe) override {
    Outcome outcome;
    for (const auto& [subject, reference] : references_) {
      const double score = face::cosine_score(reference, probe);
      if (score > outcome.score) outcome = {subject, score, score >= threshold_};
    }
    return outcome;
  }

 private:
  double threshold_;
  std::vector<std::pair<std::string, face::Embedding>> references_;
};

class EncryptedMatcher final : public Matcher {
 public:
  explicit EncryptedMatcher(std::unique_ptr<TemporaryDeployment> deployment)
      : deployment_(std::move(deployment)) {}
  Status enroll(const std::string& subject, const face::Embedding& reference) override {
    BAUTA_CHECK(deployment_->edge().enroll(TemporaryDeployment::kGallery, subject,
                                           std::span(&reference, 1)));
    return {};
  }
  Result<Outcome> identify(const face::Embedding& probe) override {
    BAUTA_TRY(const edge::Recognition recognition,
              deployment_->edge().identify(TemporaryDeployment::kGallery, probe));
    return Outcome{recognition.evaluation_candidate, recognition.evaluation_score,
                   recognition.decision == v1::DECISION_ACCEPTED};
  }

 private:
  std::unique_ptr<TemporaryDeployment> deployment_;
};

Result<std::unique_ptr<Matcher>> make_matcher(const EvalOptions& options, double threshold) {
  if (options.mode == "plain") return std::unique_ptr<Matcher>(new PlainMatcher(threshold));
  BAUTA_TRY(auto deployment, TemporaryDeployment::create({options.engine, options.detector}));
  return std::unique_ptr<Matcher>(new EncryptedMatcher(std::move(deployment)));
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

}  // namespace

Result<Report> eval_identify(const CommonOptions& common, const EvalOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  BAUTA_TRY(const Plan plan, make_plan(options));
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(options.engine));
  const double threshold = engine->contract().threshold_identify;

  std::vector<fs::path> paths;
  for (const auto& [subject, image] : plan.enrolled) paths.push_back(image);
  for (const Probe& probe : plan.probes) paths.push_back(probe.image);
  ThreadPool threads(common.threads == 0 ? available_processors() : common.threads);
  face::FaceOptions face_options;
  face_options.choice = face::FaceChoice::largest_central;
  face::EmbeddedImages images;
  {
    Progress progress("images", paths.size());
    BAUTA_TRY(images, face::embed_images(
                          paths, [&] { return face::make_detector(options.detector); }, *engine,
                          face_options, threads, [&](size_t, size_t) { progress.advance(); }));
  }

  BAUTA_TRY(const std::unique_ptr<Matcher> matcher, make_matcher(options, threshold));
  size_t enrolled = 0;
  {
    Progress progress("enrolments", plan.enrolled.size());
    for (const auto& [subject, image] : plan.enrolled) {
      progress.advance();
      const face::EmbeddedImage& embedded = images.at(image);
      if (!embedded.embedding) continue;
      BAUTA_CHECK(matcher->enroll(subject, *embedded.embedding));
      ++enrolled;
    }
  }
  Results results;
  size_t false_accepts = 0, misidentified = 0;
  std::vector<std::string> false_rejects;
  {
    Progress progress("probes", plan.probes.size());
    for (const Probe& probe : plan.probes) {
      progress.advance();
      Results::Judged judged{probe, std::nullopt};
      if (const face::EmbeddedImage& embedded = images.at(probe.image); embedded.embedding) {
        BAUTA_TRY(judged.outcome, matcher->identify(*embedded.embedding));
      }
      const bool accepted = judged.outcome && judged.outcome->accepted;
      if (probe.subject.empty() && accepted) ++false_accepts;
      if (!probe.subject.empty() && accepted && judged.outcome->best != probe.subject)
        ++misidentified;
      if (!probe.subject.empty() && !accepted)
        false_rejects.push_back(probe.image.filename().string());
      results.judged.push_back(std::move(judged));
    }
  }
  size_t rank1 = 0;
  for (const Results::Judged& j : results.judged)
    if (results.mated(j) && j.outcome && j.outcome->best == j.probe.subject) ++rank1;

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
      {"false_accepts", false_accepts},
      {"misidentified", misidentified},
      {"false_rejects", false_rejects},
      {"fpir", results.fpir(threshold)},
      {"fnir", results.fnir(threshold)},
      {"rank1", Results::share(rank1, mated)},
      {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()},
      {"curve", Json::array()}};
  for (int step = 0; step <= 50; ++step) {
    const double at = 0.02 * step;
    report.json["curve"].push_back(
        {{"threshold", at}, {"fpir", results.fpir(at)}, {"fnir", results.fnir(at)}});
  }
  report.text = fmt::format(
      "{} ({}), threshold {:.4f}: {} enrolled ({} could not be), {} probes of them, {} of others\n"
      "false accepts: {}, wrong identities: {}, false rejects: {} (FPIR {:.4f}, FNIR {:.4f}, rank "
      "1 {:.4f})\n",
      engine->contract().engine, options.mode, threshold, enrolled, plan.enrolled.size() - enrolled,
      mated, results.judged.size() - mated, false_accepts, misidentified, false_rejects.size(),
      results.fpir(threshold), results.fnir(threshold), Results::share(rank1, mated));
  for (const std::string& image : false_rejects)
    report.text += fmt::format("  not recognised: {}\n", image);
  return report;
}

}  // namespace bauta::cli
