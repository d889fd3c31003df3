// The contracts by which the key service judges: of each gallery the one that an edge has
// registered last, a file each in one directory (docs/formats/contract.md). Thread-safe, and safe
// between processes on one machine.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "bauta/v1/types.pb.h"

namespace bauta::key {

struct RegisteredContract {
  std::string gallery, tenant, edge_id;  // the edge that signed for it
  uint32_t version = 0;                  // 1, 2, ... of this gallery
  v1::EmbeddingContract contract;
  v1::Ticket ticket;  // that edge's
};

class Contracts {
 public:
  // Makes the directory if it is absent.
  static Result<std::unique_ptr<Contracts>> open(const std::filesystem::path& directory);

  // Error not_found, saying how a contract is registered; corrupt.
  Result<RegisteredContract> find(const std::string& gallery);
  // Takes the place of the gallery's contract, durably; the version is set here. The same contract
  // again changes nothing. Errors: refused, the gallery is another tenant's.
  Result<uint32_t> put(RegisteredContract contract);

 private:
  explicit Contracts(std::filesystem::path directory) : directory_(std::move(directory)) {}
  std::filesystem::path path_of(const std::string& gallery) const;
  Result<RegisteredContract> read(const std::string& gallery) const;

  const std::filesystem::path directory_;
  std::mutex mutex_;  // guards known_
  struct Known {
    std::filesystem::file_time_type changed;
    RegisteredContract contract;
  };
  std::map<std::string, Known> known_;
};

// Its bytes in a file, and back. Errors: corrupt.
Bytes serialize_registered(const RegisteredContract& contract);
Result<RegisteredContract> parse_registered(ByteView bytes);

}  // namespace bauta::key
