// Many devices at once: `bauta bench load`.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "apps/cli/arguments.h"
#include "apps/cli/served_deployment.h"
#include "base/file.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kGallery = "load";
constexpr size_t kReferencesPerSubject = 200;
constexpr size_t kMaxImage_bytes = size_t{8} << 20;

// Templates that belong to nobody.
Status enrol_templates(ServedDeployment& deployment, size_t references, size_t dimension) {
  BAUTA_TRY(rest::Desk* const edge, deployment.open_edge());
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  Progress progress("enrolling", references);
  for (size_t done = 0; done < references;) {
    std::vector<face::Embedding> embeddings(std::min(kReferencesPerSubject, references - done));
    for (face::Embedding& embedding : embeddings) {
      embedding.resize(dimension);
      for (float& value : embedding) value = normal(random);
      BAUTA_CHECK(face::normalise(embedding));
    }
    const std::string subject = fmt::format("s{}", done);
    BAUTA_CHECK(edge->with_edge(
        kGallery, [&](edge::Edge& with) { return with.enroll(kGallery, subject, embeddings); }));
    done += embeddings.size();
    progress.advance(embeddings.size());
  }
  return {};
}

// What one client met.
struct Tally {
  std::vector<double> accepted_ms;  // of requests that were answered 200
  size_t errors = 0, rejected_503 = 0;
};

// Requests at their times on one timetable for all clients, or each client without a pause.
class Timetable {
 public:
  Timetable(double rps, double seconds)
      : interval_s_(rps > 0 ? 1 / rps : 0),
        start_(Clock::now()),
        end_(start_ +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  // Waits for the next request's time; false at the end.
  bool wait() {
    const auto due =
        start_ + std::chrono::duration_cast<Clock::duration>(
                     std::chrono::duration<double>(interval_s_) * static_cast<double>(next_++));
    if (due >= end_ || Clock::now() >= end_) return false;
    std::this_thread::sleep_until(due);
    return true;
  }

 private:
  const double interval_s_;
  const Clock::time_point start_, end_;
  std::atomic<size_t> next_{0};
};

void run_client(const ServedDeployment& deployment, const Bytes& image, Timetable& timetable,
                Tally& tally) {
  rest::HttpsClient device = deployment.connect_device();
  const std::string path = fmt::format("/v1/galleries/{}/identify", kGallery);
  while (timetable.wait()) {
    const auto start = Clock::now();
    const Result<rest::ClientReply> reply = device.post_images(path, {}, {image});
    if (!reply.ok() || (reply->status != 200 && reply->status != 503)) {
      ++tally.errors;
    } else if (reply->status == 503) {
      ++tally.rejected_503;
    } else {
      tally.accepted_ms.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - start).count());
    }
  }
}

double percentile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(sorted.size())))];
}

}  // namespace

Result<Report> bench_load(const CommonOptions&, const BenchLoadOptions& options) {
  BAUTA_TRY(const std::unique_ptr<ServedDeployment> deployment,
            ServedDeployment::start("patchnet", "haar5"));
  rest::HttpsClient device = deployment->connect_device();
  BAUTA_TRY(const rest::ClientReply created,
            device.post_json("/v1/galleries", Json{{"gallery", kGallery}}.dump()));
  const Json gallery = Json::parse(created.body, nullptr, /*allow_exceptions=*/false);
  if (created.status != 201)
    return make_error(ErrorCode::unavailable, "the edge answers {}: {}", created.status,
                      created.body);
  BAUTA_CHECK(enrol_templates(*deployment, options.references, gallery["contract"]["dimension"]));
  BAUTA_TRY(const Bytes image,
            read_file(options.image.empty() ? std::filesystem::path(BAUTA_SOURCE_DIR) /
                                                  "examples/people/Colombina/Colombina_0005.jpg"
                                            : options.image,
                      kMaxImage_bytes));
  BAUTA_TRY(const rest::ClientReply warm,
            device.post_images(fmt::format("/v1/galleries/{}/identify", kGallery), {}, {image}));
  if (warm.status != 200)
    return make_error(ErrorCode::unavailable, "the edge answers {}: {}", warm.status, warm.body);

  Timetable timetable(options.rps, options.seconds);
  const auto start = Clock::now();
  std::vector<Tally> tallies(options.clients);
  std::vector<std::thread> clients;
  for (Tally& tally : tallies)
    clients.emplace_back([&] { run_client(*deployment, image, timetable, tally); });
  for (std::thread& client : clients) client.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();

  Tally all;
  for (const Tally& tally : tallies) {
    all.errors += tally.errors;
    all.rejected_503 += tally.rejected_503;
    all.accepted_ms.insert(all.accepted_ms.end(), tally.accepted_ms.begin(),
                           tally.accepted_ms.end());
  }
  std::sort(all.accepted_ms.begin(), all.accepted_ms.end());
  const double p50 = percentile(all.accepted_ms, 0.5), p95 = percentile(all.accepted_ms, 0.95),
               p99 = percentile(all.accepted_ms, 0.99);
  const double rps = static_cast<double>(all.accepted_ms.size()) / seconds;
  const size_t requests = all.accepted_ms.size() + all.errors + all.rejected_503;
  return Report{
      {{"requests", requests},
       {"errors", all.errors},
       {"rejected_503", all.rejected_503},
       {"rps", rps},
       {"p50_ms", p50},
       {"p95_ms", p95},
       {"p99_ms", p99},
       {"clients", options.clients},
       {"references", options.references},
       {"seconds", seconds}},
      fmt::format("{} identifications in {:.0f} s by {} clients on {} references: {:.1f} "
                  "answered a second,\n{} turned away (503), {} errors; 50 % within {:.0f} "
                  "ms, 95 % within {:.0f} ms, 99 % within {:.0f} ms\n",
                  requests, seconds, options.clients, options.references, rps, all.rejected_503,
                  all.errors, p50, p95, p99)};
}

}  // namespace bauta::cli
