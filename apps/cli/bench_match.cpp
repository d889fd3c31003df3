// The encrypted gallery at any size: synthetic templates, both sides encrypted, every part timed.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <random>

#include <sys/resource.h>
#include <unistd.h>

#include "apps/cli/arguments.h"
#include "base/file.h"
#include "base/random.h"
#include "match/bulk.h"
#include "match/gallery.h"
#include "match/scores.h"
#include "match/search.h"
#include "ring/automorphism.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"
#include "simd/kernels.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;
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

// A tenant with its keys, and an edge: made anew for the measurement.
struct Tenant {
  match::Parameters parameters;
  secret::SecretKey tenant, edge;
  std::shared_ptr<match::EvaluationKeys> keys;
};

Result<secret::SecretKey> make_secret(const match::Parameters& parameters, const char* purpose) {
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
  random_bytes(seed.span());
  return secret::SecretKey::expand(parameters.ring(), seed, purpose);
}

Result<Tenant> make_tenant(size_t dimension, const fs::path& galois_file) {
  BAUTA_TRY(match::Parameters parameters, match::Parameters::create(dimension));
  const ckks::Parameters& ring = parameters.ring();
  const ckks::KeySwitchShape shape = match::key_shape(parameters);
  BAUTA_TRY(secret::SecretKey tenant, make_secret(parameters, "tenant"));
  BAUTA_TRY(secret::SecretKey edge, make_secret(parameters, "edge"));
  Bytes galois_keys;
  for (const uint32_t element : match::galois_elements(parameters)) {
    BAUTA_TRY(const ckks::GaloisKey key, secret::generate_galois_key(tenant, element, shape));
    const Bytes serialized = ckks::serialize(ring, key);
    galois_keys.insert(galois_keys.end(), serialized.begin(), serialized.end());
  }
  BAUTA_CHECK(write_file_atomically(galois_file, galois_keys));
  BAUTA_TRY(const ckks::RelinearizationKey relinearization,
            secret::generate_relinearization_key(tenant, shape));
  BAUTA_TRY(const ckks::SwitchingKey switching,
            secret::generate_switching_key(edge, tenant, shape));
  BAUTA_TRY(auto keys, match::EvaluationKeys::open(parameters, galois_file,
                                                   ckks::serialize(ring, relinearization)));
  BAUTA_CHECK(keys->add_edge(ckks::serialize(ring, switching)));
  return Tenant{parameters, std::move(tenant), std::move(edge), std::move(keys)};
}

Result<ckks::SeededCiphertext> encrypt(const Tenant& tenant,
                                       const match::TemplatePolynomial& message, double scale) {
  return secret::encrypt(tenant.edge, message.span(), match::kLimbs, scale);
}

// A whole block, encrypted by the edge and switched by the server.
Result<match::TiledCiphertexts> make_block(const Tenant& tenant, std::span<const float> embeddings,
                                           ThreadPool& pool) {
  BAUTA_TRY(const match::BulkBlock bulk, match::BulkBlock::create(tenant.parameters, embeddings));
  const size_t width = tenant.parameters.width();
  match::TiledCiphertexts images(width);
  std::vector<Status> statuses(width);
  const auto make_one = [&](size_t u) -> Status {
    BAUTA_TRY(const match::TemplatePolynomial message, bulk.encode(u));
    BAUTA_TRY(const ckks::SeededCiphertext seeded,
              encrypt(tenant, message, tenant.parameters.reference_scale()));
    BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
    const ckks::EvaluationCiphertext image = to_evaluation(std::move(switched));
    images.put(u, image.c0, image.c1);
    return {};
  };
  pool.parallel_for(width, [&](size_t begin, size_t end) {
    for (size_t u = begin; u < end; ++u) statuses[u] = make_one(u);
  });
  for (const Status& status : statuses) BAUTA_CHECK(status);
  return images;
}

// References below one block go in one by one, so that small galleries fold; from one block on, in
// bulk.
Result<match::Gallery> make_gallery(const Tenant& tenant, size_t references, ThreadPool& pool) {
  match::Gallery gallery(
      tenant.keys,
      [](uint64_t) -> Result<match::StoredReference> {
        return make_error(ErrorCode::not_found, "the bench keeps no originals");
      },
      &pool);
  const size_t dimension = tenant.parameters.dimension();
  Progress progress("encrypting references", references);
  if (references < match::kDegree) {
    gallery.reserve(references);
    const std::vector<float> rows = make_embeddings(references, dimension, 0);
    for (size_t j = 0; j < references; ++j) {
      BAUTA_TRY(const match::TemplatePolynomial message,
                match::encode_reference(tenant.parameters,
                                        std::span(rows).subspan(j * dimension, dimension)));
      BAUTA_TRY(const ckks::SeededCiphertext seeded,
                encrypt(tenant, message, tenant.parameters.reference_scale()));
      BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
      BAUTA_CHECK(gallery.insert(j, match::StoredReference{std::move(switched)}));
      progress.advance();
    }
    return gallery;
  }
  for (size_t first = 0; first < references; first += match::kDegree) {
    const size_t count = std::min(match::kDegree, references - first);
    BAUTA_TRY(match::TiledCiphertexts images,
              make_block(tenant, make_embeddings(count, dimension, first / match::kDegree), pool));
    std::bitset<match::kDegree> live;
    for (size_t j = 0; j < count; ++j) live.set(j);
    BAUTA_CHECK(gallery.append_block(std::move(images), live));
    progress.advance(count);
  }
  return gallery;
}

// What the key service does with a request: decrypt, take the best, and nothing else.
Result<match::ScoreReader> decide(const Tenant& tenant, const Bytes& request_bytes) {
  BAUTA_TRY(const match::ScoreRequest request,
            match::parse_score_request(tenant.parameters, request_bytes));
  match::ScoreReader reader(tenant.parameters);
  for (size_t block = 0; block < request.blocks.size(); ++block) {
    BAUTA_TRY(const ring::SecretCoefficients residues,
              secret::decrypt(tenant.tenant, request.blocks[block].ciphertext));
    reader.read(static_cast<uint32_t>(block), residues.limb(0), request.blocks[block].live);
  }
  return reader;
}

struct ScoreError {
  double rms = 0, max = 0;
};

// Every score of a search against the inner product in the clear.
Result<ScoreError> measure_error(const Tenant& tenant, const match::Search& search,
                                 std::span<const float> probe, size_t references) {
  const size_t dimension = tenant.parameters.dimension();
  double squares = 0, largest = 0;
  size_t scores = 0, rows_of = SIZE_MAX;
  std::vector<float> rows;
  for (uint32_t b = 0; b < search.request.blocks.size(); ++b) {
    const match::ScoreBlock& block = search.request.blocks[b];
    BAUTA_TRY(const ring::SecretCoefficients residues,
              secret::decrypt(tenant.tenant, block.ciphertext));
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
      const double error = match::decode_score(tenant.parameters, residues.limb(0)[j]) - truth;
      squares += error * error;
      largest = std::max(largest, std::abs(error));
      ++scores;
    }
  }
  return ScoreError{std::sqrt(squares / static_cast<double>(scores)), largest};
}

// The speed at which the threads can read what a search reads.
double measure_read_gb_s(const match::Gallery& gallery, ThreadPool& pool) {
  size_t bytes = 0;
  std::vector<double> rates;
  for (int run = 0; run < 3; ++run) {
    bytes = 0;
    const auto start = Clock::now();
    uint64_t sink = 0;
    for (size_t i = 0; i < gallery.block_count(); ++i) {
      const std::span<const uint32_t> words = gallery.block_images(i).words();
      bytes += words.size_bytes();
      std::vector<uint64_t> sums(pool.size());
      pool.parallel_for(pool.size(), [&](size_t begin, size_t end) {
        for (size_t part = begin; part < end; ++part) {
          const size_t first = words.size() * part / pool.size() / 2;
          const size_t last = words.size() * (part + 1) / pool.size() / 2;
          const auto* pairs = reinterpret_cast<const uint64_t*>(words.data());
          uint64_t lanes[8] = {};
          for (size_t k = first; k + 8 <= last; k += 8)
            for (size_t lane = 0; lane < 8; ++lane) lanes[lane] += pairs[k + lane];
          sums[part] = std::accumulate(std::begin(lanes), std::end(lanes), uint64_t{0});
        }
      });
      for (const uint64_t sum : sums) sink += sum;
    }
    const double seconds = milliseconds_since(start) / 1000;
    if (sink != 1) rates.push_back(static_cast<double>(bytes) / 1e9 / seconds);
  }
  return *std::max_element(rates.begin(), rates.end());
}

// The paper's method on our arithmetic: one template per ciphertext, and for each a product, a
// relinearisation and log2(r) rotations that are summed up. Milliseconds per reference.
Result<double> measure_round_robin(const Tenant& tenant, const match::SwitchedProbe& probe) {
  const match::Parameters& parameters = tenant.parameters;
  const size_t width = parameters.width();
  const ring::Basis basis = parameters.ring().ciphertext_moduli();
  const ckks::KeySwitcher& switcher = tenant.keys->switcher();
  // The automorphisms 1 + r, 1 + r/2, ... , 5 and -1 generate the trace, each doubling the sum.
  std::vector<ckks::GaloisKey> steps;
  for (size_t step = width; step >= 2; step /= 2) {
    const auto element = static_cast<uint32_t>(step == 2 ? 2 * width - 1 : 1 + step);
    BAUTA_TRY(ckks::GaloisKey key,
              secret::generate_galois_key(tenant.tenant, element, match::key_shape(parameters)));
    steps.push_back(std::move(key));
  }
  const std::vector<float> row = make_embeddings(1, parameters.dimension(), 1);
  BAUTA_TRY(const match::TemplatePolynomial message, match::encode_reference(parameters, row));
  BAUTA_TRY(const ckks::SeededCiphertext seeded,
            encrypt(tenant, message, parameters.reference_scale()));
  BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
  const ckks::EvaluationCiphertext reference = to_evaluation(std::move(switched));
  BAUTA_TRY(const match::ProbeImages images, match::make_probe_images(*tenant.keys, probe, 1));
  match::TiledCiphertexts tiles(1);
  tiles.put(0, reference.c0, reference.c1);
  const match::ProbeImages* const images_pointer = &images;
  const match::TiledCiphertexts* const tiles_pointer = &tiles;
  std::vector<double> times;
  for (int run = 0; run < 5 * kRuns; ++run) {
    const auto start = Clock::now();
    std::vector<ckks::ProductCiphertext> products =
        match::scan(std::span(&images_pointer, 1), std::span(&tiles_pointer, 1), basis,
                    parameters.reference_scale());
    ckks::PolynomialPair sum =
        switcher.switch_key(products[0].c2, tenant.keys->relinearization_key().key);
    add_in_place(sum.u0, products[0].c0);
    add_in_place(sum.u1, products[0].c1);
    for (const ckks::GaloisKey& step : steps) {
      ckks::PolynomialPair rotated = switcher.switch_key(sum.u1, step.key);
      add_in_place(rotated.u0, sum.u0);
      add_in_place(sum.u0, apply_automorphism(rotated.u0, step.element));
      add_in_place(sum.u1, apply_automorphism(rotated.u1, step.element));
    }
    times.push_back(milliseconds_since(start));
  }
  return median(times);
}

uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Result<Report> bench_match(const CommonOptions& common, const BenchMatchOptions& options) {
  const fs::path galois_file =
      fs::temp_directory_path() / fmt::format("bauta-bench-{}.galois", getpid());
  ThreadPool pool(common.threads == 0 ? available_processors() : common.threads);
  BAUTA_TRY(const Tenant tenant, make_tenant(options.dimension, galois_file));
  const auto enrolling = Clock::now();
  BAUTA_TRY(match::Gallery gallery, make_gallery(tenant, options.references, pool));
  BAUTA_CHECK(gallery.prepare());
  const double enrol_seconds = milliseconds_since(enrolling) / 1000;

  std::vector<std::vector<float>> embeddings;
  std::vector<match::SwitchedProbe> probes;
  for (size_t p = 0; p < options.probes; ++p) {
    embeddings.push_back(make_embeddings(1, options.dimension, (uint64_t{1} << 40) + p));
    BAUTA_TRY(const match::TemplatePolynomial message,
              match::encode_probe(tenant.parameters, embeddings.back()));
    BAUTA_TRY(const ckks::SeededCiphertext seeded,
              encrypt(tenant, message, tenant.parameters.probe_scale()));
    BAUTA_TRY(ckks::CoefficientCiphertext switched, tenant.keys->switch_to_tenant(seeded));
    probes.push_back({std::move(switched)});
  }

  std::vector<double> expand, scan, hide, decision, total;
  ScoreError error;
  for (int run = 0; run <= kRuns; ++run) {
    const auto start = Clock::now();
    match::SearchTimings timings;
    BAUTA_TRY(const std::vector<match::Search> searches, gallery.search(probes, &timings));
    const auto searched = Clock::now();
    for (const match::Search& search : searches) {
      const Bytes request = match::serialize_score_request(tenant.parameters, search.request);
      BAUTA_CHECK(decide(tenant, request));
    }
    if (run == 0) {  // warms up, and is checked
      BAUTA_TRY(error, measure_error(tenant, searches[0], embeddings[0], options.references));
      continue;
    }
    expand.push_back(timings.expand / 1000);
    scan.push_back(timings.scan / 1000);
    hide.push_back(timings.hide / 1000);
    decision.push_back(milliseconds_since(searched));
    total.push_back(milliseconds_since(start));
  }
  const double read_gb_s = measure_read_gb_s(gallery, pool);
  BAUTA_TRY(const double round_robin_ms, measure_round_robin(tenant, probes[0]));
  fs::remove(galois_file);

  size_t scanned_bytes = 0;
  for (size_t i = 0; i < gallery.block_count(); ++i)
    scanned_bytes += gallery.block_images(i).size_bytes();
  const double scan_gb_s = static_cast<double>(scanned_bytes) / 1e6 / median(scan);
  const double bytes_per_reference =
      static_cast<double>(scanned_bytes) / static_cast<double>(options.references);
  const char* isa = simd::isa_name(simd::kernels().isa);

  Report report;
  report.json = {{"references", options.references},
                 {"dim", options.dimension},
                 {"probes", options.probes},
                 {"mode", "sealed"},
                 {"threads", pool.size()},
                 {"isa", isa},
                 {"expand_ms", median(expand)},
                 {"scan_ms", median(scan)},
                 {"hide_ms", median(hide)},
                 {"decide_ms", median(decision)},
                 {"total_ms", median(total)},
                 {"scan_gb_s", scan_gb_s},
                 {"read_gb_s", read_gb_s},
                 {"bytes_per_reference", bytes_per_reference},
                 {"peak_rss_bytes", peak_rss_bytes()},
                 {"score_error_rms", error.rms},
                 {"score_error_max", error.max},
                 {"round_robin_ms_per_reference", round_robin_ms},
                 {"enrol_seconds", enrol_seconds}};
  report.text = fmt::format(
      "{} references of dimension {}, {} probe{}, both encrypted, {} thread{}, {}\n"
      "expand {:.2f} ms, scan {:.2f} ms ({:.1f} GB/s; reading alone {:.1f} GB/s), hide {:.2f} ms, "
      "decide "
      "{:.2f} ms, total {:.2f} ms\n"
      "score error rms {:.2e}, max {:.2e}; {:.0f} bytes a reference; peak memory {:.2f} GB; "
      "encrypted in {:.1f} s\n"
      "one template per ciphertext would take {:.3f} ms a reference: {:.0f} ms, {:.0f} times as "
      "long\n",
      options.references, options.dimension, options.probes, options.probes == 1 ? "" : "s",
      pool.size(), pool.size() == 1 ? "" : "s", isa, median(expand), median(scan), scan_gb_s,
      read_gb_s, median(hide), median(decision), median(total), error.rms, error.max,
      bytes_per_reference, static_cast<double>(peak_rss_bytes()) / 1e9, enrol_seconds,
      round_robin_ms, round_robin_ms * static_cast<double>(options.references),
      round_robin_ms * static_cast<double>(options.references) /
          (median(expand) + median(scan) + median(hide)));
  return report;
}

}  // namespace bauta::cli
