// One engine as the linkage server uses it: another authentication server with a tenant, a key pair
// and galleries of its own, where this server is an edge. Makes that engine's features out of a
// package, encrypts them for that engine's tenant, and enrols them there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/secret.h"
#include "face/engine.h"
#include "services/linkage/response_times.h"
#include "services/rest/desk.h"
#include "services/services.h"

namespace bauta::linkage {

struct EngineOptions {
  std::string name;                   // in the interface, the ledger and the storage server
  std::string title;                  // for persons
  std::vector<std::string> purposes;  // each a gallery of that name
  rest::DeskOptions desk;
  std::string edge_metrics;  // HOST:PORT of the metrics of the edge there; empty: none
};

// The interfaces must outlive the engine.
struct EngineServices {
  AuthService* auth = nullptr;
  EdgeKeyService* edge_keys = nullptr;
  CollectionService* collection = nullptr;
  OversightService* oversight = nullptr;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(EngineOptions options, EngineServices services);

  const EngineOptions& options() const { return options_; }
  bool has_purpose(const std::string& purpose) const;
  CollectionService& collection() { return *services_.collection; }
  ResponseTimes& response_times() { return response_times_; }

  // Makes the purpose's gallery if it is missing, and has this edge's own key for it delivered.
  // Errors: those of the engine.
  Status prepare(const std::string& purpose);

  // The embeddings of a package's usable images, for the caller to wipe. Error refused, in words
  // for the person: no image can be used.
  Result<std::vector<face::Embedding>> extract(ByteView package) const;
  // All of them as one subject. Fine when the subject is enrolled already: then an earlier attempt
  // reached its end. Errors: those of the engine.
  Status enrol(const std::string& purpose, const std::string& subject,
               std::span<const face::Embedding> embeddings);
  // Fine when the subject is not enrolled.
  Status erase(const std::string& purpose, const std::string& subject);

  // The keys of this tenant, and whether the decision log is whole; errors as OversightService.
  Result<v1::ListKeysReply> list_keys();
  Result<v1::CheckDecisionsReply> check_decisions();

  // What it has by now; error unavailable when it does not answer.
  Result<std::vector<v1::Gallery>> galleries();

 private:
  Engine(EngineOptions options, EngineServices services)
      : options_(std::move(options)), services_(services), response_times_(options_.edge_metrics) {}

  const EngineOptions options_;
  const EngineServices services_;
  ResponseTimes response_times_;
  std::unique_ptr<face::Engine> features_;
  std::unique_ptr<face::Detector> detector_;
  std::unique_ptr<rest::Desk> desk_;
};

}  // namespace bauta::linkage
