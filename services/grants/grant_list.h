// What an edge may do, said by the key service in one signed list (docs/formats/grants.md).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/signature.h"

namespace bauta::grants {

// Persistent.
enum class Right : uint8_t { recognise = 1, enrol = 2, erase = 4, admin = 8 };
inline constexpr uint8_t kAllRights = 15;
const char* right_name(Right right);
// "recognise,enrol"; empty for none.
std::string rights_text(uint8_t rights);
// Error invalid_argument: not such a text, or it names none.
Result<uint8_t> parse_rights(std::string_view text);

// In place of a tenant or a gallery: all there are, and all there will be.
inline constexpr std::string_view kEvery = "*";

struct Grant {
  std::string edge, tenant, gallery;  // the last two may be kEvery
  uint8_t rights = 0;                 // of Right, 1 to kAllRights
  int64_t not_after_ms = 0;           // since 1970 UTC; 0: no end
  uint64_t number = 0;                // of the list in which it first stood as it is

  bool operator==(const Grant&) const = default;
};

// Invariants: at most one grant for an edge, tenant and gallery; both lists ascend; an edge that is
// revoked has no grant.
struct GrantList {
  uint64_t number = 0;  // every list has a higher one than the one before; 0: none was made yet
  std::vector<Grant> grants;         // by edge, tenant, gallery
  std::vector<std::string> revoked;  // edges that are refused everything, for ever

  // Replaces what the edge had on that gallery. Error refused: the edge is revoked.
  Status give(const Grant& grant);
  // Ends the edge's grants on that gallery of that tenant; empty texts mean any. Returns those that
  // were ended.
  std::vector<Grant> take(const std::string& edge, const std::string& tenant,
                          const std::string& gallery);
  void revoke(const std::string& edge);
  bool is_revoked(const std::string& edge) const;
};

// At most so many of each.
inline constexpr size_t kMaxGrants = 20'000;
inline constexpr size_t kMaxRevoked = 50'000;
inline constexpr size_t kMaxGrantsFile_bytes = size_t{16} << 20;

// Names of edges, tenants and galleries: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or a
// digit. Error invalid_argument.
Status check_grant_name(std::string_view what, std::string_view name);

// Purpose of the signature. Persistent.
inline constexpr std::string_view kGrantsPurpose = "bauta grants 1";

// A list as it is kept and sent.
struct SignedGrants {
  GrantList list;
  std::array<uint8_t, 16> signer{};  // id of the signing key
  Signature signature{};
};

// What is signed.
Bytes serialize(const GrantList& list);
Bytes serialize(const SignedGrants& grants);
// Checks the form, not the signature. Error corrupt.
Result<SignedGrants> parse_grants(ByteView bytes);

}  // namespace bauta::grants
