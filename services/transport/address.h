// Addresses of servers as people write them: HOST:PORT, an IPv6 address in brackets.
#pragma once

#include <optional>
#include <string>

namespace bauta::transport {

struct Address {
  std::string host;  // without brackets
  int port = 0;      // 0 to 65535
};

// Nothing when the text is no such address.
std::optional<Address> parse_address(const std::string& text);

}  // namespace bauta::transport
