// The encrypted gallery at any size: synthetic templates, both sides encrypted, every part timed.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <thread>

#include <sys/resource.h>

#include "apps/cli/arguments.h"
#include "apps/cli/local_gallery.h"
#include "apps/cli/round_robin.h"
#include "match/renewal.h"
#include "simd/kernels.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRuns = 7;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Unit vectors that depend on the seed alone, so that a block's can be made again instead of kept.
std::vector<float> make_embeddings(size_t count, size_t dimension, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> rows(count * dimension);
  for (size_t j = 0; j < count; ++j) {
    double norm = 0;
    for (size_t t = 0; t < dimension; ++t) {
      // The sum of four uniforms is close enough to normal here, and quick.
      const uint64_t bits = random();
      float value = -131070.0f;
      for (int part = 0; part < 4; ++part)
        value += static_cast<float>((bits >> (16 * part)) & 0xffff);
      rows[j * dimension + t] = value;
      norm += static_cast<double>(value) * value;
    }
    for (size_t t = 0; t < dimension; ++t)
      rows[j * dimension + t] = static_cast<float>(rows[j * dimension + t] / std::sqrt(norm));
  }
  return rows;
}

// References below one block go in one by one, so that small galleries fold; from one block on, in
// bulk.
Result<match::Gallery> make_gallery(const match::LocalTenant& tenant, size_t references,
                                    ThreadPool& pool) {
  match::Gallery gallery(tenant.keys, no_original, &pool);
  const size_t dimension = tenant.parameters.dimension();
  Progress progress("encrypting references", references);
  if (references < match::kDegree) {
    gallery.reserve(references);
    const std::vector<float> rows = make_embeddings(references, dimension, 0);
    BAUTA_CHECK(insert_references(tenant, rows, 0, gallery));
    progress.advance(references);
    return gallery;
  }
  for (size_t first = 0; first < references; first += match::kDegree) {
    const size_t count = std::min(match::kDegree, references - first);
    BAUTA_CHECK(append_block(tenant, make_embeddings(count, dimension, first / match::kDegree),
                             gallery, pool));
    progress.advance(count);
  }
  return gallery;
}

struct ScoreError {
  double rms = 0, max = 0;
};

// Every score of a search against the inner product in the clear.
Result<ScoreError> measure_error(const match::LocalTenant& tenant, const match::Search& search,
                                 std::span<const float> probe, size_t references) {
  const size_t dimension = tenant.parameters.dimension();
  double squares = 0, largest = 0;
  size_t scores = 0, rows_of = SIZE_MAX;
  std::vector<float> rows;
  for (uint32_t b = 0; b < search.request.blocks.size(); ++b) {
    const match::ScoreBlock& block = search.request.blocks[b];
    BAUTA_TRY(const std::vector<uint32_t> residues, tenant.decrypt(block.ciphertext));
    for (uint32_t j = 0; j < match::kDegree; ++j) {
      if (!match::is_live(block.live, j)) continue;
      BAUTA_TRY(const uint64_t slot, search.map.slot({b, j}));
      if (const size_t index = slot / match::kDegree; index != rows_of) {
        rows = make_embeddings(std::min(match::kDegree, references - index * match::kDegree),
                               dimension, index);
        rows_of = index;
      }
      double truth = 0;
      for (size_t t = 0; t < dimension; ++t)
        truth += static_cast<double>(probe[t]) * rows[slot % match::kDegree * dimension + t];
      const double error = match::decode_score(tenant.parameters, residues[j]) - truth;
      squares += error * error;
      largest = std::max(largest, std::abs(error));
      ++scores;
    }
  }
  return ScoreError{std::sqrt(squares / static_cast<double>(scores)), largest};
}

size_t scanned_bytes(const match::Gallery& gallery) {
  size_t bytes = 0;
  for (size_t i = 0; i < gallery.block_count(); ++i) bytes += gallery.block_images(i).size_bytes();
  return bytes;
}

uint64_t sum_pairs(std::span<const uint32_t> words) {
  const auto* pairs = reinterpret_cast<const uint64_t*>(words.data());
  uint64_t lanes[32] = {};
  for (size_t k = 0; k + 32 <= words.size() / 2; k += 32)
    for (size_t lane = 0; lane < 32; ++lane) lanes[lane] += pairs[k + lane];
  return std::accumulate(std::begin(lanes), std::end(lanes), uint64_t{0});
}

// How long the threads need to read what a search reads, and do nothing else with it.
double measure_read_ms(const match::Gallery& gallery, ThreadPool& pool) {
  std::vector<uint64_t> sums(pool.size());
  const auto start = Clock::now();
  pool.parallel_for(pool.size(), [&](size_t begin, size_t end) {
    for (size_t part = begin; part < end; ++part)
      for (size_t i = 0; i < gallery.block_count(); ++i) {
        const std::span<const uint32_t> words = gallery.block_images(i).words();
        const size_t first = words.size() * part / pool.size();
        const size_t last = words.size() * (part + 1) / pool.size();
        sums[part] += sum_pairs(words.subspan(first, last - first));
      }
  });
  const double elapsed = milliseconds_since(start);
  // Nobody looks at the sums, but the compiler must not know.
  asm volatile("" : : "r"(sums.data()) : "memory");
  return elapsed;
}

// Milliseconds per reference of the method in round_robin.h, and the largest error of its
// distances.
struct RoundRobinFigures {
  double ms_per_reference = 0, error_max = 0;
};

Result<RoundRobinFigures> measure_round_robin(const match::LocalTenant& tenant,
                                              std::span<const float> probe, size_t references) {
  constexpr size_t kMeasured = 64;
  const size_t dimension = tenant.parameters.dimension();
  BAUTA_TRY(const RoundRobin method, RoundRobin::create(tenant));
  BAUTA_TRY(const ckks::EvaluationCiphertext encrypted_probe, method.encrypt(probe));
  const size_t count = std::min(references, kMeasured);
  const std::vector<float> rows = make_embeddings(count, dimension, 0);
  std::vector<ckks::EvaluationCiphertext> encrypted;
  for (size_t j = 0; j < count; ++j) {
    BAUTA_TRY(ckks::EvaluationCiphertext reference,
              method.encrypt(std::span(rows).subspan(j * dimension, dimension)));
    encrypted.push_back(std::move(reference));
  }
  RoundRobinFigures figures;
  std::vector<double> times;
  for (size_t j = 0; j < count; ++j) {
    const auto start = Clock::now();
    ckks::EvaluationCiphertext encrypted_distance = method.distance(encrypted_probe, encrypted[j]);
    times.push_back(milliseconds_since(start));
    BAUTA_TRY(const double distance, method.decrypt(std::move(encrypted_distance)));
    double truth = 0;
    for (size_t t = 0; t < dimension; ++t) {
      const double difference = double{probe[t]} - rows[j * dimension + t];
      truth += difference * difference;
    }
    figures.error_max = std::max(figures.error_max, std::abs(distance - truth));
  }
  figures.ms_per_reference = median(times);
  return figures;
}

uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// The last argument says which kind.
Result<match::SwitchedProbe> make_probe(const match::LocalTenant& tenant,
                                        std::span<const float> embedding,
                                        const match::SwitchedProbe*) {
  BAUTA_TRY(const ckks::SeededCiphertext seeded, tenant.encrypt_probe(embedding));
  BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
  return match::SwitchedProbe{std::move(switched)};
}

Result<match::VisibleProbe> make_probe(const match::LocalTenant& tenant,
                                       std::span<const float> embedding,
                                       const match::VisibleProbe*) {
  BAUTA_TRY(match::TemplatePolynomial polynomial,
            match::encode_probe(tenant.parameters, embedding));
  return match::VisibleProbe{std::move(polynomial)};
}

// Milliseconds of every run.
struct SearchRuns {
  std::vector<double> expand, scan, hide, decision, total, read;
  ScoreError error;
};

template <typename Probe>
Result<SearchRuns> measure_searches(const match::LocalTenant& tenant, match::Gallery& gallery,
                                    const std::vector<std::vector<float>>& embeddings,
                                    size_t references, ThreadPool& pool) {
  std::vector<Probe> probes;
  for (const std::vector<float>& embedding : embeddings) {
    BAUTA_TRY(Probe probe, make_probe(tenant, embedding, static_cast<const Probe*>(nullptr)));
    probes.push_back(std::move(probe));
  }
  SearchRuns runs;
  for (int run = 0; run <= kRuns; ++run) {
    const auto start = Clock::now();
    match::SearchTimings timings;
    BAUTA_TRY(const std::vector<match::Search> searches, gallery.search(probes, &timings));
    const auto searched = Clock::now();
    for (const match::Search& search : searches) {
      const Bytes sent = match::serialize_score_request(tenant.parameters, search.request);
      BAUTA_TRY(const match::ScoreRequest received,
                match::parse_score_request(tenant.parameters, sent));
      BAUTA_CHECK(tenant.read(received));
    }
    if (run == 0) {  // warms up, and is checked
      BAUTA_TRY(runs.error, measure_error(tenant, searches[0], embeddings[0], references));
      continue;
    }
    runs.decision.push_back(milliseconds_since(searched));
    runs.total.push_back(milliseconds_since(start));
    runs.expand.push_back(timings.expand / 1000);
    runs.scan.push_back(timings.scan / 1000);
    runs.hide.push_back(timings.hide / 1000);
    // In turn with the scans, so that what else runs on the machine slows both.
    runs.read.push_back(measure_read_ms(gallery, pool));
  }
  return runs;
}

// Enough to measure the speed of a renewal: some 100,000 references.
constexpr size_t kRenewedBlocks = 25;

struct RenewalFigures {
  double references_per_second = 0;  // in whole blocks, one thread beside the searches
  size_t searches = 0;               // in that time
  double search_ms = 0;              // of each, the median
  double originals_per_second = 0;
  ScoreError error;  // of the renewed gallery
};

// Switches blocks to another tenant's key on one thread, while searches go on in the old ones.
Result<RenewalFigures> measure_renewal(const match::LocalTenant& tenant, match::Gallery& gallery,
                                       std::span<const float> embedding, ThreadPool& pool) {
  BAUTA_TRY(const match::LocalTenant next,
            match::LocalTenant::create(tenant.parameters.dimension()));
  BAUTA_TRY(const ckks::SwitchingKey switching,
            secret::generate_switching_key(tenant.tenant, next.tenant,
                                           match::key_shape(tenant.parameters)));
  BAUTA_TRY(
      const match::Renewal renewal,
      match::Renewal::create(next.keys, ckks::serialize(tenant.parameters.ring(), switching)));
  const match::SwitchedProbe* const kind = nullptr;
  BAUTA_TRY(const match::SwitchedProbe probe, make_probe(tenant, embedding, kind));
  const size_t blocks = std::min(gallery.block_count(), kRenewedBlocks);
  match::Gallery renewed(next.keys, no_original, &pool);
  RenewalFigures figures;
  Status appended;
  std::atomic<bool> done = false;
  const auto start = Clock::now();
  std::thread worker([&] {
    for (size_t i = 0; i < blocks && appended.ok(); ++i)
      appended =
          renewed.append_block(renewal.renew(gallery.block_images(i)), gallery.block(i).live());
    figures.references_per_second =
        static_cast<double>(renewed.references()) / milliseconds_since(start) * 1000;
    done = true;
  });
  std::vector<double> search_ms;
  Status searched;
  do {  // at least one, however small the gallery
    const auto began = Clock::now();
    const Result<match::Search> search = gallery.search(probe);
    if (!search.ok()) searched = search.error();
    search_ms.push_back(milliseconds_since(began));
  } while (!done && searched.ok());
  worker.join();
  BAUTA_CHECK(appended);
  BAUTA_CHECK(searched);
  figures.searches = search_ms.size();
  figures.search_ms = median(search_ms);
  BAUTA_TRY(const match::SwitchedProbe next_probe, make_probe(next, embedding, kind));
  BAUTA_TRY(const match::Search search, renewed.search(next_probe));
  BAUTA_TRY(figures.error, measure_error(next, search, embedding, renewed.references()));

  constexpr size_t kOriginals = 256;
  match::StoredReference original{probe.ciphertext.clone()};
  const auto began = Clock::now();
  for (size_t i = 0; i < kOriginals; ++i) BAUTA_CHECK(renewal.renew(original));
  figures.originals_per_second = kOriginals / milliseconds_since(began) * 1000;
  return figures;
}

}  // namespace

Result<Report> bench_match(const CommonOptions& common, const BenchMatchOptions& options) {
  ThreadPool pool(common.threads == 0 ? available_processors() : common.threads);
  BAUTA_TRY(const match::LocalTenant tenant, match::LocalTenant::create(options.dimension));
  const auto enrolling = Clock::now();
  BAUTA_TRY(match::Gallery gallery, make_gallery(tenant, options.references, pool));
  BAUTA_CHECK(gallery.prepare());
  const double enrol_seconds = milliseconds_since(enrolling) / 1000;

  std::vector<std::vector<float>> embeddings;
  for (size_t p = 0; p < options.probes; ++p)
    embeddings.push_back(make_embeddings(1, options.dimension, (uint64_t{1} << 40) + p));
  const bool visible = options.mode == "visible";
  BAUTA_TRY(const SearchRuns runs,
            visible ? measure_searches<match::VisibleProbe>(tenant, gallery, embeddings,
                                                            options.references, pool)
                    : measure_searches<match::SwitchedProbe>(tenant, gallery, embeddings,
                                                             options.references, pool));
  const uint64_t peak_bytes = peak_rss_bytes();
  BAUTA_TRY(const RoundRobinFigures round_robin,
            measure_round_robin(tenant, embeddings[0], options.references));

  const auto references = static_cast<double>(options.references);
  const auto bytes = static_cast<double>(scanned_bytes(gallery));
  const double scan_gb_s = bytes / 1e6 / median(runs.scan);
  const double read_gb_s = bytes / 1e6 / median(runs.read);
  std::vector<double> shares;
  for (size_t run = 0; run < runs.scan.size(); ++run)
    shares.push_back(runs.read[run] / runs.scan[run]);
  const double server_ms = median(runs.expand) + median(runs.scan) + median(runs.hide);
  const double round_robin_ms = round_robin.ms_per_reference * references;
  const char* isa = simd::isa_name(simd::kernels().isa);

  Report report;
  report.json = {{"references", options.references},
                 {"dim", options.dimension},
                 {"probes", options.probes},
                 {"mode", options.mode},
                 {"threads", pool.size()},
                 {"isa", isa},
                 {"expand_ms", median(runs.expand)},
                 {"scan_ms", median(runs.scan)},
                 {"hide_ms", median(runs.hide)},
                 {"decide_ms", median(runs.decision)},
                 {"total_ms", median(runs.total)},
                 {"scan_gb_s", scan_gb_s},
                 {"read_gb_s", read_gb_s},
                 {"scan_to_read", median(shares)},
                 {"bytes_per_reference", bytes / references},
                 {"peak_rss_bytes", peak_bytes},
                 {"score_error_rms", runs.error.rms},
                 {"score_error_max", runs.error.max},
                 {"round_robin_ms_per_reference", round_robin.ms_per_reference},
                 {"round_robin_error_max", round_robin.error_max},
                 {"enrol_seconds", enrol_seconds}};
  report.text = fmt::format(
      "{} references of dimension {}, {} {} probe{}, {} thread{}, {}\n"
      "expand {:.2f} ms, scan {:.2f} ms ({:.1f} GB/s; reading alone {:.1f} GB/s), hide {:.2f} ms, "
      "decide {:.2f} ms, total {:.2f} ms\n"
      "score error rms {:.2e}, max {:.2e}; {:.0f} bytes a reference; peak memory {:.2f} GB; "
      "encrypted in {:.1f} s\n\n",
      options.references, options.dimension, options.probes, options.mode,
      options.probes == 1 ? "" : "s", pool.size(), pool.size() == 1 ? "" : "s", isa,
      median(runs.expand), median(runs.scan), scan_gb_s, read_gb_s, median(runs.hide),
      median(runs.decision), median(runs.total), runs.error.rms, runs.error.max, bytes / references,
      static_cast<double>(peak_bytes) / 1e9, enrol_seconds);
  report.text += fmt::format("{:<38} {:>14} {:>14} {:>8}\n", "server, one probe", "ms/reference",
                             "ms", "ratio");
  const double per_probe_ms = server_ms / static_cast<double>(options.probes);
  report.text += fmt::format("{:<38} {:>14.5f} {:>14.2f} {:>8}\n", "trace-packed blocks",
                             per_probe_ms / references, per_probe_ms, 1);
  report.text +=
      fmt::format("{:<38} {:>14.5f} {:>14.2f} {:>8.0f}\n", "one template per ciphertext, 1 thread",
                  round_robin.ms_per_reference, round_robin_ms, round_robin_ms / per_probe_ms);
  BAUTA_TRY(const RenewalFigures renewal, measure_renewal(tenant, gallery, embeddings[0], pool));
  report.json["renewal"] = {{"references_per_second", renewal.references_per_second},
                            {"originals_per_second", renewal.originals_per_second},
                            {"searches_meanwhile", renewal.searches},
                            {"search_ms", renewal.search_ms},
                            {"score_error_rms", renewal.error.rms},
                            {"score_error_max", renewal.error.max}};
  report.text += fmt::format(
      "\nrenewal to another key on one thread: {:.0f} references a second in whole blocks, {:.0f} "
      "originals a second;\n{} searches meanwhile, {:.2f} ms each; then score error rms {:.2e}, "
      "max "
      "{:.2e}\n",
      renewal.references_per_second, renewal.originals_per_second, renewal.searches,
      renewal.search_ms, renewal.error.rms, renewal.error.max);
  return report;
}

}  // namespace bauta::cli
