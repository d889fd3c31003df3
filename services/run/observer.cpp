#include "services/run/observer.h"

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace bauta::run {
namespace {

// Seconds; a request takes a millisecond to some tens, and may wait for seconds.
const prometheus::Histogram::BucketBoundaries kBuckets{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                       0.2,   0.5,   1,     2,    5,    10};

std::string json_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return quoted + '"';
}

// What an operator looks into.
bool is_failure(const Error& error) {
  switch (error.code) {
    case ErrorCode::corrupt:
    case ErrorCode::no_space:
    case ErrorCode::unavailable:
    case ErrorCode::internal:
      return true;
    default:
      return false;
  }
}

// A gauge that somebody else keeps.
class Watched final : public prometheus::Collectable {
 public:
  Watched(std::string role, std::string name, std::string help, std::function<double()> read)
      : role_(std::move(role)),
        name_(std::move(name)),
        help_(std::move(help)),
        read_(std::move(read)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    prometheus::MetricFamily family;
    family.name = name_;
    family.help = help_;
    family.type = prometheus::MetricType::Gauge;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"role", role_}};
    metric.gauge.value = read_();
    return {family};
  }

 private:
  std::string role_, name_, help_;
  std::function<double()> read_;
};

}  // namespace

struct Observer::State {
  std::string role;
  LogLevel level = LogLevel::requests;
  std::shared_ptr<spdlog::logger> log;
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  prometheus::Family<prometheus::Counter>* requests = nullptr;
  prometheus::Family<prometheus::Histogram>* durations = nullptr;
  prometheus::Family<prometheus::Histogram>* parts = nullptr;
  std::vector<std::shared_ptr<Watched>> watched;
  std::unique_ptr<prometheus::Exposer> exposer;
};

Observer::Observer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Observer::~Observer() = default;

Result<std::unique_ptr<Observer>> Observer::create(const std::string& role, LogLevel level,
                                                   const std::string& metrics_listen) {
  auto state = std::make_unique<State>();
  state->role = role;
  state->level = level;
  // A logger of its own: spdlog's registry is left alone.
  state->log =
      std::make_shared<spdlog::logger>(role, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  state->log->set_pattern(
      "{\"time\":\"%Y-%m-%dT%H:%M:%S.%e%z\",\"level\":\"%l\",\"role\":\"%n\",%v}");
  state->requests = &prometheus::BuildCounter()
                         .Name("bauta_requests_total")
                         .Help("Requests answered")
                         .Labels({{"role", role}})
                         .Register(*state->registry);
  state->durations = &prometheus::BuildHistogram()
                          .Name("bauta_request_seconds")
                          .Help("Time to answer a request")
                          .Labels({{"role", role}})
                          .Register(*state->registry);
  state->parts = &prometheus::BuildHistogram()
                      .Name("bauta_recognition_seconds")
                      .Help("Where the time of a recognition went")
                      .Labels({{"role", role}})
                      .Register(*state->registry);
  if (!metrics_listen.empty()) {
    try {
      state->exposer = std::make_unique<prometheus::Exposer>(metrics_listen, 1);
      state->exposer->RegisterCollectable(state->registry);
    } catch (const std::exception&) {
      return make_error(ErrorCode::busy,
                        "cannot listen on {} for metrics: another program has the port, or the "
                        "address is not of this machine",
                        metrics_listen);
    }
  }
  return std::unique_ptr<Observer>(new Observer(std::move(state)));
}

void Observer::watch(const std::string& name, const std::string& help,
                     std::function<double()> read) {
  state_->watched.push_back(std::make_shared<Watched>(state_->role, name, help, std::move(read)));
  if (state_->exposer != nullptr) state_->exposer->RegisterCollectable(state_->watched.back());
}

void Observer::warn(const std::string& sentence) {
  state_->log->log(spdlog::level::warn, "\"message\":{}", json_text(sentence));
}

void Observer::record_part(const std::string& part, double seconds) {
  state_->parts->Add({{"part", part}}, kBuckets).Observe(seconds);
}

void Observer::record(const Observed& request) {
  state_->requests->Add({{"operation", request.operation}, {"outcome", request.outcome}})
      .Increment();
  const double seconds = static_cast<double>(request.duration_us) / 1e6;
  state_->durations->Add({{"operation", request.operation}}, kBuckets).Observe(seconds);
  if (state_->level == LogLevel::none || (state_->level == LogLevel::errors && !request.failed))
    return;
  state_->log->log(
      request.failed ? spdlog::level::err : spdlog::level::info,
      "\"operation\":{},\"outcome\":{},\"caller\":{},\"request_id\":{},\"duration_ms\":{:.3f}",
      json_text(request.operation), json_text(request.outcome), json_text(request.caller),
      json_text(request.request_id), seconds * 1000);
}

transport::CallObserver Observer::of_calls() {
  return [this](const transport::ServedCall& call) {
    record({call.method, call.peer, call.request_id,
            call.error != nullptr ? error_code_name(call.error->code) : "ok",
            call.error != nullptr && is_failure(*call.error), call.duration_us});
  };
}

}  // namespace bauta::run
