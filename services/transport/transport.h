// What clients and servers of services/transport share: who is who, and the limits of a message.
//
// Every connection is TLS (1.2 or later) with certificates on both sides, checked against one CA.
// A certificate says who its owner is by one alternative name, bauta://ROLE/NAME
// (services/transport/roles.h): "auth", "key" and "storage" are the servers; "linkage" is the
// linkage server, which is also an edge of every engine that it serves, may collect that engine's
// log and backups and see the states of its keys. A client also checks that the server it reaches
// is the one it means: its certificate must be for the host name "auth", "key" or "storage",
// whatever the address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace bauta::transport {

inline constexpr std::string_view kAuthName = "auth";
inline constexpr std::string_view kKeyName = "key";
inline constexpr std::string_view kStorageName = "storage";
inline constexpr std::string_view kLinkageName = "linkage";

// PEM files.
struct TlsFiles {
  std::filesystem::path authority;  // whose certificates are accepted
  std::filesystem::path certificate;
  std::filesystem::path private_key;
};

// A probe is 31 KB, and an enrolment as many; an encrypted image is some megabytes.
inline constexpr size_t kMaxAuthRequest_bytes = size_t{64} << 20;
// 7.5 MB for each million references searched.
inline constexpr size_t kMaxDecideRequest_bytes = size_t{256} << 20;
inline constexpr size_t kMaxReply_bytes = size_t{64} << 20;
// A gallery's backup, in one piece on its way to the storage server.
inline constexpr size_t kMaxStorageRequest_bytes = size_t{256} << 20;
// Evaluation keys and backups; larger than any single message may be, so they come in chunks.
inline constexpr size_t kMaxStreamedReply_bytes = size_t{1} << 31;
inline constexpr size_t kChunk_bytes = size_t{1} << 20;

// The id of the request that this thread works on; travels with the calls that the thread makes,
// and is set on the other side while the call is served. Not secret, no personal data; at most 64
// printable characters.
const std::string& request_id();
void set_request_id(std::string id);

}  // namespace bauta::transport
