// What an integrator's program links: subjects are enrolled and recognised by photos, either sent
// to an edge over HTTPS, or encrypted by the program itself, which then is an edge of its own and
// lets no photo out.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace bauta::client {

enum class Decision {
  accepted,
  rejected,
  failed  // the photo could not be used
};

struct Recognition {
  Decision decision = Decision::failed;
  std::string subject;  // when accepted
  std::string reason;   // when failed: a sentence for the person
};

struct Enrolment {
  std::vector<std::string> references;
  // Photos that could not be used: index and a sentence for the person.
  std::vector<std::pair<size_t, std::string>> refused;
};

// Not thread-safe: each thread has a client of its own. Photos are JPEG or PNG files of one face.
// Errors of all: unavailable when the other side does not answer, busy when it has too much to do
// (both: try again later), refused, not_found, already_exists, invalid_argument.
class Client {
 public:
  virtual ~Client() = default;
  virtual Status create_gallery(const std::string& gallery) = 0;
  virtual Status delete_gallery(const std::string& gallery) = 0;
  // Error refused when none of the photos can be used: the first one's reason.
  virtual Result<Enrolment> enrol(const std::string& gallery, const std::string& subject,
                                  std::span<const Bytes> photos) = 0;
  // How many references are gone.
  virtual Result<size_t> erase(const std::string& gallery, const std::string& subject) = 0;
  virtual Result<Recognition> identify(const std::string& gallery, const Bytes& photo) = 0;
  virtual Result<Recognition> verify(const std::string& gallery, const std::string& subject,
                                     const Bytes& photo) = 0;
};

struct EdgeAddress {
  std::string host;
  int port = 8443;
  std::filesystem::path authority;  // PEM, whose certificate the edge has
  std::string api_key;
};

// Whether the edge answers shows at the first call.
std::unique_ptr<Client> connect_to_edge(const EdgeAddress& edge);

struct OwnEdge {
  std::string id;                         // the common name of its certificate
  std::string auth_service, key_service;  // HOST:PORT
  // PEM files.
  std::filesystem::path authority, certificate, private_key;
  std::filesystem::path directory;  // where its own key is kept, which is delivered once
  std::string tenant = "default", engine = "patchnet", detector = "haar5";
};

// Errors: those of the files, the engine and the detector.
Result<std::unique_ptr<Client>> become_edge(const OwnEdge& options);

}  // namespace bauta::client
