// What the records of decisions and searches cost on this disk, side by side: a sync for each, as
// it was, and one for all that wait.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "apps/cli/arguments.h"
#include "apps/cli/temporary_deployment.h"
#include "services/key/decision_log.h"
#include "store/audit_lane.h"

namespace bauta::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMeasured_s = 3;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Measured {
  double per_second = 0, median_ms = 0, p99_ms = 0;
};

// Calls record() from so many threads.
Result<Measured> measure(size_t threads, const std::function<Status()>& record) {
  std::mutex mutex;  // guards the two below
  std::vector<double> times_ms;
  Status status;
  const auto start = Clock::now();
  const auto run = [&] {
    std::vector<double> own_ms;
    Status own;
    while (own.ok() && milliseconds_since(start) < kMeasured_s * 1000) {
      const auto begin = Clock::now();
      own = record();
      own_ms.push_back(milliseconds_since(begin));
    }
    std::lock_guard lock(mutex);
    times_ms.insert(times_ms.end(), own_ms.begin(), own_ms.end());
    if (!own.ok()) status = own;
  };
  {
    std::vector<std::jthread> running;
    for (size_t i = 0; i < threads; ++i) running.emplace_back(run);
  }
  BAUTA_CHECK(status);
  const double taken_s = milliseconds_since(start) / 1000;
  std::ranges::sort(times_ms);
  return Measured{static_cast<double>(times_ms.size()) / taken_s, times_ms[times_ms.size() / 2],
                  times_ms[times_ms.size() * 99 / 100]};
}

Result<std::vector<key::LogEntry>> one_decision() {
  key::LogEntry entry;
  entry.outcome = key::LogOutcome::rejected;
  entry.gallery = "bench";
  entry.edge_id = "bench";
  return std::vector<key::LogEntry>{entry};
}

}  // namespace

Result<Report> bench_log(const CommonOptions&, const BenchLogOptions& options) {
  BAUTA_TRY(const TemporaryDirectory directory, TemporaryDirectory::create());
  BAUTA_TRY(const auto log,
            key::DecisionLog::open(directory.path() / "key", [](const key::LogRecord&) {}));
  BAUTA_TRY(store::Catalogue catalogue, store::Catalogue::open(directory.path() / "catalogue"));
  store::AuditLane lane(catalogue);
  const store::AuditEntry search{store::AuditEvent::identification, store::AuditOutcome::rejected,
                                 "bench", ""};
  std::mutex one_at_a_time;  // as the log's lock was held over the sync
  const std::pair<const char*, std::function<Status()>> ways[] = {
      {"decision, a sync for each",
       [&] {
         std::lock_guard lock(one_at_a_time);
         return log->update(one_decision);
       }},
      {"decision, one sync for all", [&] { return log->update(one_decision); }},
      {"spent, then outcome",
       [&]() -> Status {
         BAUTA_CHECK(log->update(one_decision));
         return log->update(one_decision, key::Durability::written);
       }},
      {"search, a sync for each",
       [&]() -> Status {
         BAUTA_CHECK(catalogue.append_audit(search));
         return {};
       }},
      {"search, by the lane", [&] { return lane.append(search); }}};

  Report report;
  report.json = nlohmann::json::array();
  report.text = fmt::format("{:<28} {:>7} {:>9} {:>10} {:>8}\n", "record", "threads", "a second",
                            "median ms", "p99 ms");
  for (const size_t threads : options.threads)
    for (const auto& [name, record] : ways) {
      BAUTA_TRY(const Measured measured, measure(threads, record));
      report.json.push_back({{"record", name},
                             {"threads", threads},
                             {"per_second", measured.per_second},
                             {"median_ms", measured.median_ms},
                             {"p99_ms", measured.p99_ms}});
      report.text += fmt::format("{:<28} {:>7} {:>9.0f} {:>10.3f} {:>8.2f}\n", name, threads,
                                 measured.per_second, measured.median_ms, measured.p99_ms);
    }
  return report;
}

}  // namespace bauta::cli
