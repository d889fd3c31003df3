#include "face/evaluation.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <set>

#include "base/file.h"

namespace bauta::face {
namespace {

constexpr size_t kMaxPairsFileBytes = 16u << 20;
// Stands for "no score": below every comparison score, so the pair is rejected at any threshold.
constexpr double kRejected = -1e9;

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  size_t at = 0;
  while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::vector<std::vector<std::string>> lines_of(std::string_view text) {
  std::vector<std::vector<std::string>> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(words_of(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

// 1 to 9999; nothing for anything else.
std::optional<int> number_of(const std::string& word) {
  if (word.empty() || word.size() > 4 || word.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  const int number = std::stoi(word);
  return number > 0 ? std::optional<int>(number) : std::nullopt;
}

std::optional<ImagePair> pair_of(const std::vector<std::string>& words, bool mated,
                                 const std::filesystem::path& images) {
  if (words.size() != (mated ? 3u : 4u)) return std::nullopt;
  const auto first = number_of(words[1]);
  const auto second = number_of(words.back());
  if (!first || !second) return std::nullopt;
  const auto image = [&](const std::string& name, int number) {
    return images / name / fmt::format("{}_{:04}.jpg", name, number);
  };
  return ImagePair{image(words[0], *first), image(mated ? words[0] : words[2], *second), mated, 0};
}

EmbeddedImage embed_image(const std::filesystem::path& path, const Detector& detector,
                          const Engine& engine, const FaceOptions& options) {
  const auto failed = [](std::string why) { return EmbeddedImage{std::nullopt, std::move(why)}; };
  const auto bytes = read_file(path, options.limits.max_bytes);
  if (!bytes.ok()) return failed(bytes.error().message);
  const auto outcome = find_face(*bytes, detector, options);
  if (!outcome.ok()) return failed(outcome.error().message);
  if (const Refusal* refusal = outcome->refusal()) return failed(refusal->message);
  auto embedding = engine.extract(outcome->face()->aligned);
  if (!embedding.ok()) return failed(embedding.error().message);
  return {std::move(*embedding), ""};
}

// Scores by kind, ascending.
struct Scores {
  std::vector<double> mated, nonmated;

  void add(const ScoredPair& pair) {
    (pair.mated ? mated : nonmated).push_back(pair.score.value_or(kRejected));
  }
  void sort() {
    std::sort(mated.begin(), mated.end());
    std::sort(nonmated.begin(), nonmated.end());
  }
};

double share_below(const std::vector<double>& ascending, double threshold) {
  if (ascending.empty()) return 0;
  const auto below = std::lower_bound(ascending.begin(), ascending.end(), threshold);
  return static_cast<double>(below - ascending.begin()) / static_cast<double>(ascending.size());
}
double share_at_or_above(const std::vector<double>& ascending, double threshold) {
  return 1 - share_below(ascending, threshold);
}

double accuracy_at(const Scores& scores, double threshold) {
  const auto mated = static_cast<double>(scores.mated.size());
  const auto nonmated = static_cast<double>(scores.nonmated.size());
  return (mated * share_at_or_above(scores.mated, threshold) +
          nonmated * share_below(scores.nonmated, threshold)) /
         (mated + nonmated);
}

// The middle between the neighbouring scores that accept the most mated and reject the most
// non-mated pairs.
double best_threshold(const Scores& scores) {
  std::vector<double> candidates = scores.mated;
  candidates.insert(candidates.end(), scores.nonmated.begin(), scores.nonmated.end());
  std::sort(candidates.begin(), candidates.end());
  double best = 0, best_accuracy = -1;
  for (size_t i = 0; i + 1 < candidates.size(); ++i) {
    if (candidates[i] == kRejected) continue;
    const double threshold = (candidates[i] + candidates[i + 1]) / 2;
    const double accuracy = accuracy_at(scores, threshold);
    if (accuracy > best_accuracy) best = threshold, best_accuracy = accuracy;
  }
  return best;
}

// Where the false match rate and the false non-match rate cross.
double equal_error_rate(const Scores& scores) {
  double best_gap = 2, rate = 0;
  for (const auto* kind : {&scores.mated, &scores.nonmated})
    for (const double threshold : *kind) {
      const double fmr = share_at_or_above(scores.nonmated, threshold);
      const double fnmr = share_below(scores.mated, threshold);
      if (std::abs(fmr - fnmr) < best_gap) best_gap = std::abs(fmr - fnmr), rate = (fmr + fnmr) / 2;
    }
  return rate;
}

// The lowest threshold that accepts at most `far` of the non-mated pairs.
double threshold_at(const Scores& scores, double far) {
  const auto allowed = static_cast<size_t>(far * static_cast<double>(scores.nonmated.size()));
  const double highest_refused = scores.nonmated[scores.nonmated.size() - 1 - allowed];
  return std::nextafter(highest_refused, 2.0);
}

// The share of mated pairs accepted there.
double tar_at(const Scores& scores, double far) {
  return share_at_or_above(scores.mated, threshold_at(scores, far));
}

}  // namespace

Result<std::vector<ImagePair>> read_pairs(const std::filesystem::path& pairs_file,
                                          const std::filesystem::path& images) {
  BAUTA_TRY(const Bytes bytes, read_file(pairs_file, kMaxPairsFileBytes));
  const auto lines = lines_of(as_text(bytes));
  const auto wrong = [&](size_t line) {
    return make_error(ErrorCode::corrupt, "Line {} of {} is not in the format of LFW's pairs.txt.",
                      line + 1, pairs_file.string());
  };
  if (lines.empty() || lines[0].size() != 2) return wrong(0);
  const auto folds = number_of(lines[0][0]);
  const auto per_fold = number_of(lines[0][1]);
  if (!folds || !per_fold) return wrong(0);
  const auto count = static_cast<size_t>(*per_fold);
  const size_t expected = 1 + static_cast<size_t>(*folds) * 2 * count;
  if (lines.size() != expected) return wrong(std::min(lines.size(), expected));
  std::vector<ImagePair> pairs;
  for (size_t line = 1; line < lines.size(); ++line) {
    const size_t block = (line - 1) / count;  // mated and non-mated blocks take turns
    auto pair = pair_of(lines[line], block % 2 == 0, images);
    if (!pair) return wrong(line);
    pair->fold = static_cast<int>(block / 2);
    pairs.push_back(std::move(*pair));
  }
  return pairs;
}

std::vector<std::filesystem::path> images_of(const std::vector<ImagePair>& pairs) {
  std::set<std::filesystem::path> images;
  for (const ImagePair& pair : pairs) images.insert({pair.reference, pair.probe});
  return {images.begin(), images.end()};
}

Result<EmbeddedImages> embed_images(const std::vector<std::filesystem::path>& images,
                                    const DetectorFactory& make_detector, const Engine& engine,
                                    const FaceOptions& options, ThreadPool& threads,
                                    const Progress& progress) {
  std::vector<EmbeddedImage> embedded(images.size());
  std::mutex mutex;  // guards the two below and the calls of progress
  std::optional<Error> error;
  size_t done = 0;
  threads.parallel_for(images.size(), [&](size_t begin, size_t end) {
    const auto detector = make_detector();
    if (!detector.ok()) {
      const std::lock_guard lock(mutex);
      error = detector.error();
      return;
    }
    for (size_t i = begin; i < end; ++i) {
      embedded[i] = embed_image(images[i], **detector, engine, options);
      const std::lock_guard lock(mutex);
      if (progress) progress(++done, images.size());
    }
  });
  if (error) return *error;
  EmbeddedImages result;
  for (size_t i = 0; i < images.size(); ++i) result.emplace(images[i], std::move(embedded[i]));
  return result;
}

Result<std::vector<ScoredPair>> score_pairs(const std::vector<ImagePair>& pairs,
                                            const EmbeddedImages& images, const Scorer& scorer,
                                            const Progress& progress) {
  std::vector<ScoredPair> scored;
  for (const ImagePair& pair : pairs) {
    const auto reference = images.find(pair.reference);
    const auto probe = images.find(pair.probe);
    if (reference == images.end() || probe == images.end())
      return make_error(ErrorCode::invalid_argument, "The pair of {} and {} has no embeddings.",
                        pair.reference.string(), pair.probe.string());
    ScoredPair result{std::nullopt, pair.mated, pair.fold};
    if (reference->second.embedding && probe->second.embedding) {
      BAUTA_TRY(result.score, scorer(*reference->second.embedding, *probe->second.embedding));
    }
    scored.push_back(result);
    if (progress) progress(scored.size(), pairs.size());
  }
  return scored;
}

Result<PairsReport> report_pairs(const std::vector<ScoredPair>& pairs) {
  std::set<int> folds;
  Scores all;
  for (const ScoredPair& pair : pairs) {
    folds.insert(pair.fold);
    all.add(pair);
  }
  all.sort();
  if (folds.size() < 2 || all.mated.empty() || all.nonmated.empty())
    return make_error(ErrorCode::invalid_argument,
                      "An evaluation needs two folds or more, with mated and non-mated pairs.");
  std::vector<double> accuracies;
  for (const int fold : folds) {
    Scores others, own;
    for (const ScoredPair& pair : pairs) (pair.fold == fold ? own : others).add(pair);
    others.sort();
    own.sort();
    accuracies.push_back(accuracy_at(own, best_threshold(others)));
  }
  PairsReport report;
  report.pairs = pairs.size();
  report.folds = folds.size();
  const auto count = static_cast<double>(accuracies.size());
  report.accuracy_mean = std::accumulate(accuracies.begin(), accuracies.end(), 0.0) / count;
  double squares = 0;
  for (const double accuracy : accuracies)
    squares += (accuracy - report.accuracy_mean) * (accuracy - report.accuracy_mean);
  report.accuracy_std = std::sqrt(squares / count);
  report.eer = equal_error_rate(all);
  report.tar_at_far_1e_2 = tar_at(all, 1e-2);
  report.tar_at_far_1e_3 = tar_at(all, 1e-3);
  report.failed_pairs = static_cast<size_t>(std::count_if(
      pairs.begin(), pairs.end(), [](const ScoredPair& pair) { return !pair.score; }));
  return report;
}

Result<Calibration> calibrate(const std::vector<ScoredPair>& pairs, double target_fmr) {
  Scores scores;
  for (const ScoredPair& pair : pairs) scores.add(pair);
  scores.sort();
  if (!(target_fmr > 0 && target_fmr < 1) || scores.mated.empty() ||
      static_cast<double>(scores.nonmated.size()) * target_fmr < 1)
    return make_error(ErrorCode::invalid_argument,
                      "A false match rate of {:g} cannot be told from {} non-mated and {} mated "
                      "pairs.",
                      target_fmr, scores.nonmated.size(), scores.mated.size());
  Calibration result{.threshold = threshold_at(scores, target_fmr)};
  result.fmr = share_at_or_above(scores.nonmated, result.threshold);
  result.fnmr = share_below(scores.mated, result.threshold);
  return result;
}

}  // namespace bauta::face
