// `bauta gallery import`: embeddings from a file, encrypted by this machine's edge.

#include <chrono>
#include <unordered_map>

#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"
#include "base/file.h"
#include "base/npy.h"
#include "match/template_codec.h"

namespace bauta::cli {
namespace {

constexpr size_t kMaxSubjects_bytes = size_t{1} << 30;

Result<std::vector<std::string>> read_subjects(const std::filesystem::path& path) {
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxSubjects_bytes));
  std::vector<std::string> subjects;
  std::string_view text = as_text(bytes);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const Status named = store::check_name("subject", line); !named.ok())
      return make_error(ErrorCode::invalid_argument, "line {} of {}: {}", subjects.size() + 1,
                        path.string(), named.error().message);
    subjects.emplace_back(line);
  }
  return subjects;
}

Status check_each_once(const std::vector<std::string>& subjects,
                       const std::filesystem::path& path) {
  std::unordered_map<std::string_view, size_t> lines;
  for (size_t i = 0; i < subjects.size(); ++i) {
    const auto [first, is_new] = lines.emplace(subjects[i], i);
    if (!is_new)
      return make_error(
          ErrorCode::invalid_argument,
          "lines {} and {} of {} both name {}; repeat with --add if one subject is to "
          "have several references",
          first->second + 1, i + 1, path.string(), subjects[i]);
  }
  return {};
}

// So that an error names the row of the file, and comes before anything is encrypted.
Status check_rows(const match::Parameters& parameters, std::span<const float> rows, uint64_t first,
                  const std::filesystem::path& path) {
  const size_t dimension = parameters.dimension();
  for (size_t j = 0; j * dimension < rows.size(); ++j)
    if (const Status unit = check_embedding(parameters, rows.subspan(j * dimension, dimension));
        !unit.ok())
      return make_error(unit.error().code, "row {} of {}: {}", first + j, path.string(),
                        unit.error().message);
  return {};
}

}  // namespace

Result<Report> gallery_import(const CommonOptions& common, const GalleryImportOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::unique_ptr<edge::Edge> edge, deployment->open_edge(options.gallery));
  const uint32_t dimension = edge->contract().dimension();
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(dimension));
  BAUTA_TRY(const NpyFile file, NpyFile::open(options.embeddings));
  BAUTA_TRY(const std::vector<std::string> subjects, read_subjects(options.subjects));
  if (file.columns() != dimension)
    return make_error(ErrorCode::mismatch,
                      "{} has embeddings of dimension {}, and gallery {} is for {}",
                      options.embeddings.string(), file.columns(), options.gallery, dimension);
  if (file.rows() != subjects.size())
    return make_error(ErrorCode::invalid_argument, "{} has {} rows, and {} names {} subjects",
                      options.embeddings.string(), file.rows(), options.subjects.string(),
                      subjects.size());
  if (!options.add) BAUTA_CHECK(check_each_once(subjects, options.subjects));

  // All rows are looked at before the first is enrolled.
  const auto each_block = [&](const auto& body) -> Status {
    for (size_t first = 0; first < subjects.size(); first += match::kDegree) {
      const size_t count = std::min(match::kDegree, subjects.size() - first);
      BAUTA_TRY(std::vector<float> rows, file.read(first, count));
      const Status done =
          body(first, std::span<const float>(rows), std::span(subjects).subspan(first, count));
      wipe({reinterpret_cast<uint8_t*>(rows.data()), rows.size() * sizeof(float)});
      BAUTA_CHECK(done);
    }
    return {};
  };
  BAUTA_CHECK(each_block([&](size_t first, auto rows, auto) {
    return check_rows(parameters, rows, first, options.embeddings);
  }));
  ThreadPool threads(common.threads == 0 ? available_processors() : common.threads);
  size_t imported = 0;
  {
    Progress progress("importing references", subjects.size());
    const Status done = each_block([&](size_t, auto rows, auto names) -> Status {
      for (size_t j = 0; options.singly && j < names.size(); ++j) {
        face::Embedding row(rows.begin() + static_cast<long>(j * dimension),
                            rows.begin() + static_cast<long>((j + 1) * dimension));
        const auto enrolled = edge->enroll(options.gallery, names[j], {&row, 1}, options.add);
        wipe({reinterpret_cast<uint8_t*>(row.data()), row.size() * sizeof(float)});
        BAUTA_CHECK(enrolled);
        ++imported;
        progress.advance();
      }
      if (options.singly) return {};
      BAUTA_TRY(v1::EnrolBlockRequest request,
                edge->encrypt_block(options.gallery, names, rows, threads));
      request.set_add(options.add);
      BAUTA_CHECK(deployment->auth().enrol_block(request));
      imported += names.size();
      progress.advance(names.size());
      return {};
    });
    if (!done.ok())
      return make_error(done.error().code, "after {} of {} references: {}", imported,
                        subjects.size(), done.error().message);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double per_second = static_cast<double>(imported) / seconds;
  return Report{{{"gallery", options.gallery},
                 {"references", imported},
                 {"seconds", seconds},
                 {"references_per_second", per_second}},
                fmt::format("{} references are enrolled in {}, in {:.1f} s ({:.0f} a second)\n",
                            imported, options.gallery, seconds, per_second)};
}

}  // namespace bauta::cli
