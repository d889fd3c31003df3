#include <algorithm>

#include "services/transport/transport.h"

namespace bauta::transport {
namespace {

constexpr size_t kMaxId_bytes = 64;

std::string& current() {
  thread_local std::string id;
  return id;
}

}  // namespace

const std::string& request_id() {
  return current();
}

void set_request_id(std::string id) {
  const auto printable = [](char c) { return c > ' ' && c < 127; };
  const bool usable = id.size() <= kMaxId_bytes && std::all_of(id.begin(), id.end(), printable);
  current() = usable ? std::move(id) : std::string();
}

}  // namespace bauta::transport
