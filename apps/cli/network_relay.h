// Imitates a distant server: a relay on loopback that passes connections on with a delay and at
// the speed of a line. What TCP itself does on such a line (its handshake, its slow start, loss) is
// not imitated.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace bauta::cli {

struct NetworkProfile {
  double delay_ms = 0;        // each way
  double megabits_per_s = 0;  // each way, all connections together; 0: no limit

  bool none() const { return delay_ms <= 0 && megabits_per_s <= 0; }
};

class NetworkRelay {
 public:
  // From a free port of loopback to this one. Error unavailable.
  static Result<std::unique_ptr<NetworkRelay>> start(int to_port, const NetworkProfile& profile);
  ~NetworkRelay();

  int port() const;

 private:
  class Listener;
  explicit NetworkRelay(std::unique_ptr<Listener> listener);
  std::unique_ptr<Listener> listener_;
};

}  // namespace bauta::cli
