// All parties in this process, over one data directory: what the commands work with. Each party
// keeps to its own subdirectory, and they talk through the interfaces that remote parties have.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "apps/cli/arguments.h"
#include "services/auth/auth_server.h"
#include "services/edge/edge.h"
#include "services/key/key_server.h"

namespace bauta::cli {

// How the images of a gallery become embeddings.
struct EdgeSettings {
  std::string engine = "patchnet";  // or classic, or the path of a network's description
  std::string detector = "haar5";   // or haar, yunet, or the path of YuNet's ONNX file
};

// The key service over its own directory alone: `data`/key and the token.
Result<std::unique_ptr<key::KeyServer>> open_key_service(const CommonOptions& options);

class Deployment {
 public:
  // Opens what is there; creates directories, but no key and no token. Errors: those of the token
  // (not_found when there is none: run `bauta keys init`) and of the catalogue.
  static Result<std::unique_ptr<Deployment>> open(const CommonOptions& options);

  // Makes the embedded token if it is not there, opens the deployment, and gives `tenant` a first
  // active key unless it has one.
  static Result<std::unique_ptr<Deployment>> initialise(const CommonOptions& options,
                                                        const std::string& tenant, bool evaluation,
                                                        keys::KeyUse use = {});

  key::KeyServer& key() { return *key_; }
  auth::AuthServer& auth() { return *auth_; }

  // Creates a gallery under the tenant's active key and remembers how its images are to be read.
  Result<v1::Gallery> create_gallery(const std::string& gallery, const EdgeSettings& settings,
                                     const std::string& tenant);

  // Makes a gallery from a backup (store/backup.h). Error mismatch when the backup is of another
  // engine.
  Result<v1::Gallery> restore_gallery(const std::string& gallery,
                                      const std::filesystem::path& backup,
                                      const EdgeSettings& settings,
                                      const store::BackupProgress& progress);

  // The edge of this machine, ready for the gallery, sending templates or encrypted images. Errors:
  // not_found; invalid_argument for images when the gallery's engine is no patch network.
  Result<std::unique_ptr<edge::Edge>> open_edge(const std::string& gallery,
                                                const std::string& mode = "template");

 private:
  explicit Deployment(std::filesystem::path data) : data_(std::move(data)) {}

  // The local edge's, with its ticket.
  Result<v1::CreateGalleryRequest> contract_request(const std::string& gallery,
                                                    const std::string& key_id,
                                                    const v1::EmbeddingContract& contract);
  Status register_contract(const std::string& gallery, const std::string& key_id,
                           const v1::EmbeddingContract& contract);
  Status send_images(edge::Edge& edge, const EdgeSettings& settings, const SecretBytes& seed);
  Status write_settings(const std::string& gallery, const EdgeSettings& settings) const;
  Result<EdgeSettings> settings_of(const std::string& gallery) const;

  std::filesystem::path data_;
  std::unique_ptr<key::KeyServer> key_;
  std::unique_ptr<auth::AuthServer> auth_;
};

}  // namespace bauta::cli
