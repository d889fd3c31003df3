// What a role tells about its work: a JSON line for each request on stderr, and metrics for
// Prometheus. Neither holds personal data: no subject, no gallery, no score.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "services/run/config.h"
#include "services/transport/server.h"

namespace bauta::run {

struct Observed {
  std::string operation;  // of a fixed set, e.g. "Identify"
  std::string caller;     // an edge, a server or the name of an API key
  std::string request_id;
  std::string outcome;  // "ok", the code of an error, or a status of HTTP
  bool failed = false;  // by the role's own fault or that of a server behind it
  int64_t duration_us = 0;
};

// Thread-safe.
class Observer {
 public:
  // metrics_listen: HOST:PORT of the page /metrics (plain HTTP, so keep it on loopback or a network
  // of your own); empty: none. Error busy: another program has the port.
  static Result<std::unique_ptr<Observer>> create(const std::string& role, LogLevel level,
                                                  const std::string& metrics_listen);
  ~Observer();

  void record(const Observed& request);
  // What an operator should know, as a line at level warn.
  void warn(const std::string& sentence);
  // A part of the time that a recognition took, e.g. "match".
  void record_part(const std::string& part, double seconds);
  // A value that is read when the page is asked for; read() may be called from another thread. The
  // observer keeps it as long as it lives.
  void watch(const std::string& name, const std::string& help, std::function<double()> read);
  // For a server's calls; the observer must outlive the server.
  transport::CallObserver of_calls();

 private:
  struct State;
  explicit Observer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bauta::run
