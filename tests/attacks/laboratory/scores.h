// Score tables of real people, for `honest`: quantiles over people, nothing of one. Not for the
// repository all the same.
#pragma once

#include <filesystem>

#include "tests/attacks/laboratory/honest.h"

namespace bauta::laboratory {

// From photos, PERSON/*.jpg: for 1 to 3 references, over people with at least three photos more and
// up to ten choices of references, the mean and deviation of the best score of a probe. Errors: the
// engine's and the detector's; invalid_argument with too few people.
Result<ScoreTable> measure_scores(const std::filesystem::path& images, const std::string& engine,
                                  const std::filesystem::path& models);

// As JSON. Errors: read_file's and write_file_atomically's; corrupt.
Result<ScoreTable> read_scores(const std::filesystem::path& file);
Status write_scores(const ScoreTable& table, const std::filesystem::path& file);

}  // namespace bauta::laboratory
