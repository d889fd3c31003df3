#include "tests/attacks/laboratory/scores.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "face/detect.h"
#include "face/evaluation.h"

namespace bauta::laboratory {
namespace {

namespace fs = std::filesystem;
using Person = std::vector<face::Embedding>;

Result<std::vector<Person>> embed(const fs::path& images, const std::string& engine_name,
                                  const fs::path& models) {
  std::vector<fs::path> photos;
  std::error_code reason;
  for (const auto& entry : fs::recursive_directory_iterator(images, reason))
    if (entry.path().extension() == ".jpg") photos.push_back(entry.path());
  std::sort(photos.begin(), photos.end());
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(engine_name, models));
  ThreadPool threads(available_processors());
  face::FaceOptions options;
  options.choice = face::FaceChoice::largest_central;
  BAUTA_TRY(
      const face::EmbeddedImages embedded,
      face::embed_images(
          photos, [&] { return face::make_detector("yunet", models); }, *engine, options, threads));
  std::map<fs::path, Person> people;
  for (const auto& [photo, image] : embedded)
    if (image.embedding) people[photo.parent_path()].push_back(*image.embedding);
  std::vector<Person> all;
  for (auto& [folder, person] : people) all.push_back(std::move(person));
  return all;
}

// Mean and variance of the scores of probes against some references of one person.
struct Spread {
  double mean = 0, variance = 0;
};
Spread spread_of(const Person& person, const std::vector<size_t>& order, size_t references) {
  std::vector<double> scores;
  for (size_t probe = references; probe < order.size(); ++probe) {
    double best = -1;
    for (size_t r = 0; r < references; ++r)
      best = std::max(best, face::cosine_score(person[order[r]], person[order[probe]]));
    scores.push_back(best);
  }
  Spread spread;
  const auto count = static_cast<double>(scores.size());
  for (const double score : scores) spread.mean += score / count;
  for (const double score : scores)
    spread.variance += (score - spread.mean) * (score - spread.mean) / (count - 1);
  return spread;
}

ScoreTable::Row to_row(std::vector<Spread> spreads) {
  std::ranges::sort(spreads, {}, &Spread::mean);
  ScoreTable::Row row{};
  const auto count = static_cast<double>(spreads.size());
  for (size_t q = 0; q <= 20; ++q) {
    const double share = q == 0 ? 0.01 : q == 20 ? 0.99 : static_cast<double>(q) / 20;
    row.mean[q] = spreads[static_cast<size_t>(share * count)].mean;
    const auto from = static_cast<size_t>(std::max(share - 0.05, 0.0) * count);
    const auto to = static_cast<size_t>(std::min(share + 0.05, 1.0) * count);
    double variance = 0;
    for (size_t i = from; i < to; ++i)
      variance += spreads[i].variance / static_cast<double>(to - from);
    row.deviation[q] = std::sqrt(variance);
  }
  return row;
}

}  // namespace

Result<ScoreTable> measure_scores(const fs::path& images, const std::string& engine,
                                  const fs::path& models) {
  BAUTA_TRY(const std::vector<Person> people, embed(images, engine, models));
  ScoreTable table{.references = {}, .persistence = lfw_scores().persistence};
  std::mt19937 random(5);
  for (size_t references = 1; references <= table.references.size(); ++references) {
    std::vector<Spread> spreads;
    for (const Person& person : people) {
      if (person.size() < references + 3) continue;
      std::vector<size_t> order(person.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = i;
      for (int choice = 0; choice < 10; ++choice) {
        std::shuffle(order.begin(), order.end(), random);
        spreads.push_back(spread_of(person, order, references));
      }
    }
    if (spreads.size() < 200)
      return make_error(ErrorCode::invalid_argument, "{}: fewer than 20 people have {} photos",
                        images.string(), references + 3);
    table.references[references - 1] = to_row(std::move(spreads));
  }
  return table;
}

Result<ScoreTable> read_scores(const fs::path& file) {
  BAUTA_TRY(const Bytes bytes, read_file(file, 1 << 16));
  const auto root = nlohmann::json::parse(bytes.begin(), bytes.end(), nullptr, false);
  ScoreTable table;
  try {
    table.persistence = root.at("persistence").get<double>();
    for (size_t k = 0; k < table.references.size(); ++k) {
      root.at("mean").at(k).get_to(table.references[k].mean);
      root.at("deviation").at(k).get_to(table.references[k].deviation);
    }
  } catch (const nlohmann::json::exception& error) {
    return make_error(ErrorCode::corrupt, "{}: {}", file.string(), error.what());
  }
  return table;
}

Status write_scores(const ScoreTable& table, const fs::path& file) {
  nlohmann::json root = {{"persistence", table.persistence}};
  for (const ScoreTable::Row& row : table.references) {
    root["mean"].push_back(row.mean);
    root["deviation"].push_back(row.deviation);
  }
  const std::string text = root.dump(1) + "\n";
  return write_file_atomically(file, as_bytes(text));
}

}  // namespace bauta::laboratory
