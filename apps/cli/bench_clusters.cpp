// The paper's clusters: what a search of the nearest clusters alone saves, and what it loses and
// tells.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <numeric>
#include <random>

#include "apps/cli/arguments.h"
#include "apps/cli/local_gallery.h"
#include "face/evaluation.h"
#include "match/clusters.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kRuns = 7;
constexpr size_t kMaxProbes = 2000;
// Of a synthetic probe to its reference: about what two photos of one person have.
constexpr double kUsualScore = 0.72, kScoreSpread = 0.08;
constexpr double kSyntheticThreshold = 0.60;
constexpr uint64_t kSeed = 1;

// --- Who is enrolled, and who is looked for

struct MatedProbe {
  size_t row;  // whose it is
  face::Embedding embedding;
};

struct Population {
  size_t dimension = 0;
  double threshold = 0;
  std::vector<float> rows;  // one after another
  std::vector<MatedProbe> probes;
  std::string description;

  size_t size() const { return rows.size() / dimension; }
  std::span<const float> row(size_t i) const {
    return std::span(rows).subspan(i * dimension, dimension);
  }
};

face::Embedding random_direction(size_t dimension, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  face::Embedding embedding(dimension);
  for (float& value : embedding) value = normal(random);
  BAUTA_ASSERT(face::normalise(embedding).ok());
  return embedding;
}

Population make_synthetic(size_t references, size_t dimension) {
  std::mt19937_64 random(kSeed);
  std::normal_distribution<double> score(kUsualScore, kScoreSpread);
  Population population{dimension, kSyntheticThreshold, {}, {}, "random templates"};
  population.rows.reserve(references * dimension);
  for (size_t i = 0; i < references; ++i) {
    const face::Embedding row = random_direction(dimension, random);
    population.rows.insert(population.rows.end(), row.begin(), row.end());
  }
  const size_t probes = std::min(references, kMaxProbes);
  for (size_t p = 0; p < probes; ++p) {
    const size_t row = p * references / probes;
    const double likeness = std::clamp(score(random), 0.0, 1.0);
    face::Embedding probe = random_direction(dimension, random);
    for (size_t t = 0; t < dimension; ++t)
      probe[t] = static_cast<float>(likeness * population.row(row)[t] +
                                    std::sqrt(1 - likeness * likeness) * probe[t]);
    BAUTA_ASSERT(face::normalise(probe).ok());
    population.probes.push_back({row, std::move(probe)});
  }
  return population;
}

// People with several photos first: the first photo is enrolled, the second is a probe.
Result<Population> read_population(const BenchClustersOptions& options, ThreadPool& threads) {
  std::error_code failed;
  std::map<std::string, std::vector<fs::path>> people;
  for (const auto& person : fs::directory_iterator(options.images, failed)) {
    if (!person.is_directory()) continue;
    for (const auto& image : fs::directory_iterator(person.path()))
      people[person.path().filename()].push_back(image.path());
  }
  if (failed || people.empty())
    return make_error(ErrorCode::not_found, "{} has no folders NAME with images",
                      options.images.string());
  std::vector<std::vector<fs::path>> photos;
  for (auto& [name, images] : people) {
    std::ranges::sort(images);
    photos.push_back(std::move(images));
  }
  std::ranges::stable_partition(photos, [](const auto& images) { return images.size() > 1; });
  photos.resize(std::min(photos.size(), options.references));
  std::vector<fs::path> paths;
  for (const auto& images : photos)
    paths.insert(paths.end(), images.begin(),
                 images.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(images.size(), 2)));

  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(options.engine));
  Progress progress("images", paths.size());
  face::FaceOptions face_options;
  face_options.choice = face::FaceChoice::largest_central;
  BAUTA_TRY(const face::EmbeddedImages embedded,
            face::embed_images(
                paths, [&] { return face::make_detector(options.detector); }, *engine, face_options,
                threads, [&](size_t, size_t) { progress.advance(); }));
  Population population{
      engine->contract().dimension,
      engine->contract().threshold_identify,
      {},
      {},
      fmt::format("images of {} by {}", options.images.string(), engine->contract().engine)};
  for (const auto& images : photos) {
    const auto& enrolled = embedded.at(images[0]).embedding;
    if (!enrolled) continue;
    if (images.size() > 1)
      if (const auto& probe = embedded.at(images[1]).embedding; probe)
        population.probes.push_back({population.size(), *probe});
    population.rows.insert(population.rows.end(), enrolled->begin(), enrolled->end());
  }
  if (population.probes.empty())
    return make_error(ErrorCode::refused, "too few images in {} can be used",
                      options.images.string());
  return population;
}

// --- What is lost

// The probes that everybody's comparison accepts as who they are.
std::vector<const MatedProbe*> found_without_clusters(const Population& population,
                                                      ThreadPool& threads) {
  std::vector<uint8_t> found(population.probes.size());
  threads.parallel_for(found.size(), [&](size_t begin, size_t end) {
    for (size_t p = begin; p < end; ++p) {
      const MatedProbe& probe = population.probes[p];
      size_t best = 0;
      double best_score = -2;
      for (size_t i = 0; i < population.size(); ++i) {
        const double score = std::inner_product(probe.embedding.begin(), probe.embedding.end(),
                                                population.row(i).begin(), 0.0f);
        if (score > best_score) best = i, best_score = score;
      }
      found[p] = best == probe.row && best_score >= population.threshold;
    }
  });
  std::vector<const MatedProbe*> probes;
  for (size_t p = 0; p < found.size(); ++p)
    if (found[p] != 0) probes.push_back(&population.probes[p]);
  return probes;
}

// Of all probes: those found without clusters whose cluster is not among the nearest.
double share_lost(const match::Clusters& clusters, size_t visited,
                  std::span<const MatedProbe* const> found, size_t probes) {
  size_t lost = 0;
  for (const MatedProbe* probe : found) {
    const auto nearest = clusters.nearest(probe->embedding, visited);
    if (std::ranges::find(nearest, clusters.cluster_of[probe->row]) == nearest.end()) ++lost;
  }
  return static_cast<double>(lost) / static_cast<double>(probes);
}

// What the choice of so many clusters tells at most: log2 of the number of choices.
double leaked_bits(size_t clusters, size_t visited) {
  const auto log_factorial = [](size_t n) { return std::lgamma(static_cast<double>(n) + 1); };
  return (log_factorial(clusters) - log_factorial(visited) - log_factorial(clusters - visited)) /
         std::log(2.0);
}

// --- What it costs

double processor_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// The blocks of one cluster of `size` references behind the others. Whose references they are
// makes no difference to the time.
Status append_cluster(const match::LocalTenant& tenant, const Population& population, size_t size,
                      match::Gallery& gallery, ThreadPool& threads) {
  const auto rows_of = [&](size_t count) {
    return std::span(population.rows).first(count * population.dimension);
  };
  if (size < match::kDegree)
    return insert_references(tenant, rows_of(size), gallery.block_count() * match::kDegree,
                             gallery);
  for (size_t done = 0; done < size; done += match::kDegree)
    BAUTA_CHECK(
        append_block(tenant, rows_of(std::min(match::kDegree, size - done)), gallery, threads));
  return {};
}

struct Cost {
  double response_ms = 0;  // search at the server, and decision at the key service
  double processor_s = 0;
};

Result<Cost> measure(const match::LocalTenant& tenant, match::Gallery& gallery,
                     const face::Embedding& embedding) {
  std::vector<double> response_ms;
  double used_s = 0;
  for (int run = 0; run <= kRuns; ++run) {
    BAUTA_TRY(const ckks::SeededCiphertext seeded, tenant.encrypt_probe(embedding));
    BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
    const auto start = Clock::now();
    const double used_before_s = processor_s();
    BAUTA_TRY(const match::Search search,
              gallery.search(match::SwitchedProbe{std::move(switched)}));
    BAUTA_CHECK(tenant.read(search.request));
    if (run == 0) continue;
    used_s += processor_s() - used_before_s;
    response_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  const auto middle = response_ms.begin() + kRuns / 2;
  std::nth_element(response_ms.begin(), middle, response_ms.end());
  return Cost{*middle, used_s / kRuns};
}

}  // namespace

Result<Report> bench_clusters(const CommonOptions& common, const BenchClustersOptions& options) {
  ThreadPool threads(common.threads == 0 ? available_processors() : common.threads);
  Population population;
  if (options.images.empty()) {
    population = make_synthetic(options.references, options.dimension);
  } else {
    BAUTA_TRY(population, read_population(options, threads));
  }
  const std::vector<const MatedProbe*> found = found_without_clusters(population, threads);
  BAUTA_TRY(const match::LocalTenant tenant, match::LocalTenant::create(population.dimension));

  const auto probes = static_cast<double>(population.probes.size());
  const double fnir = 1 - static_cast<double>(found.size()) / probes;
  Report report;
  report.json = Json::array();
  report.text = fmt::format(
      "{} references ({}), {} mated probes, threshold {:.2f}, FNIR {:.3f} without clusters\n"
      "{:>12} {:>8} {:>8} {:>12} {:>11} {:>13} {:>14}\n",
      population.size(), population.description, population.probes.size(), population.threshold,
      fnir, "cluster size", "clusters", "visited", "response ms", "CPU ms", "FNIR added",
      "bits leaked");
  for (const size_t wanted : options.cluster_sizes) {
    const size_t size = std::min(wanted, population.size());
    BAUTA_TRY(const match::Clusters clusters,
              match::make_clusters(population.rows, population.dimension, size, kSeed, threads));
    match::Gallery gallery(tenant.keys, no_original, &threads);
    size_t held = 0;
    for (const size_t visited : options.visited) {
      if (visited > clusters.count()) break;
      for (; held < visited; ++held)
        BAUTA_CHECK(append_cluster(
            tenant, population, std::min(size, population.size() - held * size), gallery, threads));
      BAUTA_TRY(const Cost cost, measure(tenant, gallery, population.probes.front().embedding));
      const double added = share_lost(clusters, visited, found, population.probes.size());
      const double bits = leaked_bits(clusters.count(), visited);
      report.json.push_back({{"references", population.size()},
                             {"dim", population.dimension},
                             {"cluster_size", size},
                             {"clusters", clusters.count()},
                             {"clusters_visited", visited},
                             {"response_ms", cost.response_ms},
                             {"fnir", fnir},
                             {"fnir_added", added},
                             {"leakage_bits", bits},
                             {"cpu_s", cost.processor_s}});
      report.text += fmt::format("{:>12} {:>8} {:>8} {:>12.2f} {:>11.2f} {:>13.3f} {:>14.1f}\n",
                                 size, clusters.count(), visited, cost.response_ms,
                                 cost.processor_s * 1000, added, bits);
    }
  }
  report.text +=
      "Whoever searches sees which clusters are visited, and so whom a probe is like; no service "
      "of bauta uses clusters.\n";
  return report;
}

}  // namespace bauta::cli
