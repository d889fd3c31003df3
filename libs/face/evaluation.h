// Accuracy of face comparison on labelled photos. How a score is made, in the clear or encrypted,
// is the caller's.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "base/thread_pool.h"
#include "face/engine.h"
#include "face/pipeline.h"

namespace bauta::face {

struct ImagePair {
  std::filesystem::path reference;
  std::filesystem::path probe;
  bool mated = false;  // two photos of one person
  int fold = 0;        // from 0
};

// Reads LFW's pairs.txt: a first line "FOLDS<tab>PAIRS", then for each fold PAIRS lines
// "NAME<tab>I<tab>J" (mated) and PAIRS lines "NAME<tab>I<tab>NAME<tab>J". Image I of NAME is
// images/NAME/NAME_%04d.jpg. Errors: as read_file's; corrupt with the number of the line that is
// wrong.
Result<std::vector<ImagePair>> read_pairs(const std::filesystem::path& pairs_file,
                                          const std::filesystem::path& images);

// Done and total; called from one thread at a time.
using Progress = std::function<void(size_t done, size_t total)>;

// What became of a photo: an embedding, or the sentence that says why there is none.
struct EmbeddedImage {
  std::optional<Embedding> embedding;
  std::string failure;
};
using EmbeddedImages = std::map<std::filesystem::path, EmbeddedImage>;

// Makes a detector per thread.
using DetectorFactory = std::function<Result<std::unique_ptr<Detector>>()>;

// Finds, aligns and extracts each image once. A photo that cannot be read or is refused is a
// failure to enrol, not an error.
Result<EmbeddedImages> embed_images(const std::vector<std::filesystem::path>& images,
                                    const DetectorFactory& make_detector, const Engine& engine,
                                    const FaceOptions& options, ThreadPool& threads,
                                    const Progress& progress = {});
// The images that the pairs name, each once.
std::vector<std::filesystem::path> images_of(const std::vector<ImagePair>& pairs);

// A pair's comparison score; nothing when one of its images failed to enrol.
struct ScoredPair {
  std::optional<double> score;
  bool mated = false;
  int fold = 0;
};

using Scorer = std::function<Result<double>(const Embedding& reference, const Embedding& probe)>;

// Scores the pairs in order. Errors: the scorer's; invalid_argument when an image is not in
// `images`.
Result<std::vector<ScoredPair>> score_pairs(const std::vector<ImagePair>& pairs,
                                            const EmbeddedImages& images, const Scorer& scorer,
                                            const Progress& progress = {});

struct PairsReport {
  size_t pairs = 0;
  size_t folds = 0;
  double accuracy_mean = 0;  // over folds, each with the threshold that is best on the others
  double accuracy_std = 0;
  double eer = 0;
  double tar_at_far_1e_2 = 0;
  double tar_at_far_1e_3 = 0;
  size_t failed_pairs = 0;  // pairs without a score; they count as rejected in every figure
};

// Error invalid_argument: fewer than two folds, or no mated or no non-mated pair.
Result<PairsReport> report_pairs(const std::vector<ScoredPair>& pairs);

// The lowest threshold at or above which no larger share of the non-mated pairs scores than asked.
struct Calibration {
  double threshold = 0;
  double fmr = 0, fnmr = 0;  // there
};
// Error invalid_argument: no mated pair, or too few others to tell such a rate: 1 / target_fmr are
// needed.
Result<Calibration> calibrate(const std::vector<ScoredPair>& pairs, double target_fmr);

}  // namespace bauta::face
