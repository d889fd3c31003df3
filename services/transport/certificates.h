// A small certificate authority of one's own (OpenSSL): enough for the parties of one deployment.
// Certificates of any other authority serve as well; what they must say is in
// services/transport/transport.h.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "services/transport/transport.h"

namespace bauta::transport {

struct NewCertificate {
  std::string name;                // "auth", "key", "storage", or the edge's
  std::vector<std::string> hosts;  // host names and addresses under which it is reached
  int days = 825;                  // negative: expired already, for tests
};

// Makes an authority in `directory` (mode 0700 when it is made): ca.pem and ca.key, P-256, valid
// for ten years. Error already_exists, for ca.pem; a ca.key without it is used.
Status create_authority(const std::filesystem::path& directory);

// Issues NAME.pem and NAME.key (mode 0600) in `out` under the authority in `directory`. Errors:
// invalid_argument for a name that is no file name, or a host "auth", "key" or "storage" (it would
// let an edge stand in for that server); already_exists, for the certificate (a key without one is
// used); not_found when there is no authority.
Result<TlsFiles> issue_certificate(const std::filesystem::path& directory,
                                   const NewCertificate& certificate,
                                   const std::filesystem::path& out);

}  // namespace bauta::transport
