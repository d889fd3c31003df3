// Many devices at once: `bauta bench load`.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <thread>

#include "apps/cli/arguments.h"
#include "apps/cli/demo_people.h"
#include "apps/cli/registrants.h"
#include "apps/cli/served_deployment.h"
#include "base/file.h"
#include "match/parameters.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kGallery = "load";
constexpr size_t kMaxImage_bytes = size_t{8} << 20;
constexpr double kOverload = 2;           // times the rate that was answered
constexpr size_t kOverloadClients = 200;  // more than may wait at the edge
constexpr size_t kMaxPhase_s = 60;        // of the overload, and of the recovery
constexpr std::chrono::seconds kSample(1);

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// --- Who asks

enum class Answer { accepted, turned_away, turned_away_without_retry, error };

// One client's way to ask once more.
using Ask = std::function<Answer()>;

// The deployment under load, with a gallery of templates that belong to nobody.
class LoadedDeployment {
 public:
  static Result<std::unique_ptr<LoadedDeployment>> start(const BenchLoadOptions& options) {
    std::unique_ptr<LoadedDeployment> load(new LoadedDeployment(options));
    BAUTA_TRY(load->served_,
              ServedDeployment::start({options.engine, options.detector, kNoLimit, {}}));
    BAUTA_CHECK(options.dimension > 0 ? load->prepare_templates() : load->prepare_images());
    return load;
  }

  ServedDeployment& served() { return *served_; }

  Result<Ask> connect() { return options_.dimension > 0 ? connect_edge() : connect_device(); }

 private:
  static constexpr uint32_t kNoLimit = 4'000'000'000;

  explicit LoadedDeployment(const BenchLoadOptions& options) : options_(options) {}

  Status prepare_images() {
    const std::filesystem::path path =
        options_.image.empty() ? demo_people() / "Colombina/Colombina_0005.jpg" : options_.image;
    BAUTA_TRY(image_, read_file(path, kMaxImage_bytes));
    rest::HttpsClient device = served_->connect_device();
    BAUTA_TRY(const rest::ClientReply created,
              device.post_json("/v1/galleries", Json{{"gallery", kGallery}}.dump()));
    if (created.status != 201)
      return make_error(ErrorCode::unavailable, "the edge answers {}: {}", created.status,
                        created.body);
    BAUTA_TRY(rest::Desk* const edge, served_->open_edge());
    const size_t dimension = Json::parse(created.body)["contract"]["dimension"];
    BAUTA_CHECK(
        edge->with_edge(kGallery, [&](edge::Edge& with) { return enrol(with, dimension); }));
    BAUTA_TRY(const rest::ClientReply warm, device.post_images(kIdentifyPath, {}, {image_}));
    if (warm.status != 200 || Json::parse(warm.body)["decision"] == "failed")
      return make_error(ErrorCode::unavailable, "the edge answers {}: {}", warm.status, warm.body);
    return {};
  }

  Status prepare_templates() {
    BAUTA_TRY(const std::unique_ptr<edge::Edge> edge,
              served_->open_template_edge(kGallery, options_.dimension));
    BAUTA_CHECK(enrol(*edge, options_.dimension));
    BAUTA_CHECK(edge->identify(kGallery, random_template(options_.dimension, kProbeSeed)));
    return {};
  }

  Status enrol(edge::Edge& edge, size_t dimension) {
    Progress progress("enrolling", options_.references);
    for (size_t done = 0; done < options_.references;) {
      const size_t count = std::min(match::kDegree, options_.references - done);
      std::vector<std::string> subjects;
      std::vector<float> rows;
      for (size_t i = 0; i < count; ++i) {
        subjects.push_back(fmt::format("s{}", done + i));
        const face::Embedding embedding = random_template(dimension, done + i);
        rows.insert(rows.end(), embedding.begin(), embedding.end());
      }
      BAUTA_CHECK(served_->enrol_block(kGallery, edge, subjects, rows));
      done += count;
      progress.advance(count);
    }
    return {};
  }

  Result<Ask> connect_device() {
    const std::shared_ptr<rest::HttpsClient> device(
        new rest::HttpsClient(served_->connect_device()));
    return Ask([this, device] {
      const Result<rest::ClientReply> reply = device->post_images(kIdentifyPath, {}, {image_});
      if (reply.ok() && reply->status == 200) return Answer::accepted;
      if (!reply.ok() || reply->status != 503) return Answer::error;
      return reply->retry_after_s > 0 ? Answer::turned_away : Answer::turned_away_without_retry;
    });
  }

  Result<Ask> connect_edge() {
    BAUTA_TRY(std::shared_ptr<edge::Edge> edge,
              served_->open_template_edge(kGallery, options_.dimension));
    const face::Embedding probe = random_template(options_.dimension, kProbeSeed);
    return Ask([edge, probe] {
      const Result<edge::Recognition> answer = edge->identify(kGallery, probe);
      if (answer.ok()) return Answer::accepted;
      return answer.error().code == ErrorCode::busy ? Answer::turned_away : Answer::error;
    });
  }

  static constexpr uint64_t kProbeSeed = uint64_t{1} << 40;
  inline static const std::string kIdentifyPath =
      fmt::format("/v1/galleries/{}/identify", kGallery);

  const BenchLoadOptions options_;
  std::unique_ptr<ServedDeployment> served_;
  Bytes image_;
};

// --- One phase

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

// What the clients of a phase met.
struct Tally {
  std::vector<double> accepted_ms, turned_away_ms;
  size_t errors = 0, without_retry_after = 0;

  void add(Answer answer, double took_ms) {
    if (answer == Answer::error) {
      ++errors;
    } else if (answer == Answer::accepted) {
      accepted_ms.push_back(took_ms);
    } else {
      turned_away_ms.push_back(took_ms);
      if (answer == Answer::turned_away_without_retry) ++without_retry_after;
    }
  }
  void add(const Tally& other) {
    accepted_ms.insert(accepted_ms.end(), other.accepted_ms.begin(), other.accepted_ms.end());
    turned_away_ms.insert(turned_away_ms.end(), other.turned_away_ms.begin(),
                          other.turned_away_ms.end());
    errors += other.errors;
    without_retry_after += other.without_retry_after;
  }
};

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1,
                         static_cast<size_t>(share * static_cast<double>(values.size())))];
}

struct Phase {
  Tally tally;
  double seconds = 0;
  // Of all roles: early in the phase, at its end, and at most.
  uint64_t memory_early_bytes = 0, memory_end_bytes = 0, memory_peak_bytes = 0;
  std::map<std::string, double> processor_s;  // by role

  double answered_per_second() const {
    return static_cast<double>(tally.accepted_ms.size()) / seconds;
  }
};

// So many clients, each with a connection of its own, ask for so long; rps: 0, each without a
// pause.
Result<Phase> run_phase(LoadedDeployment& deployment, size_t clients, double rps, double seconds) {
  std::vector<Ask> asks;
  for (size_t i = 0; i < clients; ++i) {
    BAUTA_TRY(Ask ask, deployment.connect());
    asks.push_back(std::move(ask));
  }
  Timetable timetable(rps, seconds);
  Phase phase;
  const auto before = deployment.served().usage();
  const auto start = Clock::now();
  std::vector<Tally> tallies(clients);
  std::atomic<size_t> at_work = clients;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < clients; ++i)
    threads.emplace_back([&, i] {
      while (timetable.wait()) {
        const auto asked = Clock::now();
        const Answer answer = asks[i]();
        tallies[i].add(answer, milliseconds_since(asked));
      }
      --at_work;
    });
  while (at_work > 0) {
    const uint64_t now_bytes = deployment.served().usage().resident_bytes;
    if (phase.memory_early_bytes == 0 && milliseconds_since(start) > 100 * seconds)
      phase.memory_early_bytes = now_bytes;
    phase.memory_end_bytes = now_bytes;
    phase.memory_peak_bytes = std::max(phase.memory_peak_bytes, now_bytes);
    std::this_thread::sleep_for(std::min<Clock::duration>(
        kSample,
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds / 10))));
  }
  for (std::thread& thread : threads) thread.join();
  phase.seconds = milliseconds_since(start) / 1000;
  for (const Tally& tally : tallies) phase.tally.add(tally);
  phase.processor_s = deployment.served().usage().processor_s;
  for (const auto& [role, seconds_before] : before.processor_s)
    phase.processor_s[role] -= seconds_before;
  return phase;
}

Json to_json(Phase& phase, size_t clients) {
  Tally& tally = phase.tally;
  const auto answered = static_cast<double>(std::max<size_t>(tally.accepted_ms.size(), 1));
  Json processor_ms;
  for (const auto& [role, used] : phase.processor_s) processor_ms[role] = used * 1000 / answered;
  return {{"requests", tally.accepted_ms.size() + tally.turned_away_ms.size() + tally.errors},
          {"errors", tally.errors},
          {"rejected_503", tally.turned_away_ms.size()},
          {"rejected_without_retry_after", tally.without_retry_after},
          {"rejected_p99_ms", percentile(tally.turned_away_ms, 0.99)},
          {"rps", phase.answered_per_second()},
          {"p50_ms", percentile(tally.accepted_ms, 0.5)},
          {"p95_ms", percentile(tally.accepted_ms, 0.95)},
          {"p99_ms", percentile(tally.accepted_ms, 0.99)},
          {"clients", clients},
          {"seconds", phase.seconds},
          {"processor_ms_per_answer", processor_ms},
          {"memory_early_bytes", phase.memory_early_bytes},
          {"memory_end_bytes", phase.memory_end_bytes},
          {"memory_peak_bytes", phase.memory_peak_bytes}};
}

std::string to_text(const char* name, const Json& phase) {
  const auto megabytes = [&](const char* field) { return phase[field].get<uint64_t>() >> 20; };
  return fmt::format(
      "{}: {} requests in {:.0f} s by {} clients: {:.1f} answered a second, {} turned away (503), "
      "{} errors;\n  answered: 50 % within {:.0f} ms, 95 % within {:.0f} ms, 99 % within {:.0f} "
      "ms; turned away: 99 % within {:.0f} ms, {} without Retry-After;\n  resident memory of all "
      "roles: {} MB early, {} MB at the end, at most {} MB; processor time an answer: edge {:.1f} "
      "ms, auth {:.1f} ms, key {:.1f} ms\n",
      name, phase["requests"].get<size_t>(), phase["seconds"].get<double>(),
      phase["clients"].get<size_t>(), phase["rps"].get<double>(),
      phase["rejected_503"].get<size_t>(), phase["errors"].get<size_t>(),
      phase["p50_ms"].get<double>(), phase["p95_ms"].get<double>(), phase["p99_ms"].get<double>(),
      phase["rejected_p99_ms"].get<double>(), phase["rejected_without_retry_after"].get<size_t>(),
      megabytes("memory_early_bytes"), megabytes("memory_end_bytes"),
      megabytes("memory_peak_bytes"), phase["processor_ms_per_answer"].value("edge", 0.0),
      phase["processor_ms_per_answer"].value("auth", 0.0),
      phase["processor_ms_per_answer"].value("key", 0.0));
}

}  // namespace

Result<Report> bench_load(const CommonOptions&, const BenchLoadOptions& options) {
  BAUTA_TRY(const std::unique_ptr<LoadedDeployment> deployment, LoadedDeployment::start(options));
  BAUTA_TRY(Phase steady, run_phase(*deployment, options.clients, options.rps, options.seconds));
  Report report;
  report.json = to_json(steady, options.clients);
  report.json["references"] = options.references;
  report.text = to_text("load", report.json);
  if (!options.overload) return report;

  const double seconds = std::min<double>(options.seconds, kMaxPhase_s);
  const double rps = kOverload * steady.answered_per_second();
  BAUTA_TRY(Phase over, run_phase(*deployment, kOverloadClients, rps, seconds));
  BAUTA_TRY(Phase after, run_phase(*deployment, options.clients, options.rps, seconds));
  report.json["overload"] = to_json(over, kOverloadClients);
  report.json["overload"]["offered_rps"] = rps;
  report.json["recovery"] = to_json(after, options.clients);
  report.text += to_text(fmt::format("overload, {:.1f} requests a second", rps).c_str(),
                         report.json["overload"]);
  report.text += to_text("recovery", report.json["recovery"]);
  return report;
}

}  // namespace bauta::cli
