// A small certificate authority of one's own (OpenSSL): enough for the parties of one deployment.
// Certificates of any other authority serve as well; what they must say is in
// services/transport/transport.h.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "services/transport/roles.h"
#include "services/transport/transport.h"

namespace bauta::transport {

struct NewCertificate {
  std::string name;                // "auth", "key", "storage", "linkage", or the edge's
  std::vector<std::string> hosts;  // host names and addresses under which it is reached
  int days = 825;                  // negative: expired already, for tests
  std::optional<Role> role = {};   // else role_of_name(); auth, key and storage go by name alone
};

// Makes an authority in `directory` (mode 0700 when it is made): ca.pem and ca/ca.key, P-256, valid
// for ten years. The key has a folder of its own, mode 0700: nobody but who issues needs to read
// it. Error already_exists, for ca.pem; a key without it is used, also where it lay before, ca.key.
Status create_authority(const std::filesystem::path& directory);

// Issues NAME.pem and NAME.key (mode 0600) in `out` under the authority in `directory`. Errors:
// invalid_argument for a name that is no file name, or a host "auth", "key" or "storage" (it would
// let an edge stand in for that server); already_exists, for the certificate (a key without one is
// used); not_found when there is no authority.
Result<TlsFiles> issue_certificate(const std::filesystem::path& directory,
                                   const NewCertificate& certificate,
                                   const std::filesystem::path& out);

// Who a certificate says that it is. Errors: refused, as party_of(); corrupt.
Result<Party> read_party(const std::filesystem::path& certificate);

// Issues a certificate once more in its place, for the same private key, name and hosts, with the
// role of its name. Errors: corrupt; not_found when there is no authority.
Status reissue_certificate(const std::filesystem::path& directory,
                           const std::filesystem::path& certificate, int days = 825);

// Whether the authority's key lies in the directory.
bool has_authority_key(const std::filesystem::path& directory);
// Moves it to its own folder, if it still lies beside the certificate.
Status put_away_authority_key(const std::filesystem::path& directory);

}  // namespace bauta::transport
