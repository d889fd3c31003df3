#include "services/transport/address.h"

#include <charconv>

#include <arpa/inet.h>

namespace bauta::transport {
namespace {

std::optional<std::string> parse_host(const std::string& text) {
  if (!text.starts_with('[')) {
    if (text.empty() || text.find_first_of(":[] /") != std::string::npos) return {};
    return text;
  }
  if (!text.ends_with(']')) return {};
  const std::string host = text.substr(1, text.size() - 2);
  in6_addr parsed{};
  if (inet_pton(AF_INET6, host.c_str(), &parsed) != 1) return {};
  return host;
}

}  // namespace

std::optional<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return {};
  const std::optional<std::string> host = parse_host(text.substr(0, colon));
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (!host || error != std::errc() || stop != end) return {};
  return Address{*host, port};
}

}  // namespace bauta::transport
