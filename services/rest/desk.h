// The work behind the HTTPS interface: galleries by name, and edges ready to recognise, each used
// by one request at a time. Thread-safe.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "services/edge/edge.h"
#include "services/services.h"

namespace bauta::rest {

// What leaves the edge, encrypted: a face's features, or its image.
enum class Mode { face_template, image };

struct DeskOptions {
  std::string edge_id, tenant, engine, detector;
  std::filesystem::path directory;  // of this edge's own keys, mode 0700
  size_t workers = 1;               // requests that work at a time, in each mode
  size_t max_waiting = 64;          // requests that wait for a worker; more are refused as busy
};

class Desk {
 public:
  // The services must outlive the desk. Errors: those of the engine and the detector.
  static Result<std::unique_ptr<Desk>> open(const DeskOptions& options, AuthService& auth,
                                            EdgeKeyService& edge_keys);

  AuthService& auth() { return auth_; }

  // Under the tenant's active key, for embeddings of this edge's engine.
  Result<v1::Gallery> create_gallery(const std::string& gallery);
  // Also forgets what is remembered of the gallery.
  Status delete_gallery(const std::string& gallery);

  // Begins to renew the gallery to the tenant's active key.
  Result<v1::Renewal> renew_gallery(const std::string& gallery);

  // Calls work(edge) -> Result<T> with an edge that encrypts for the gallery's key, and again when
  // it failed because the gallery was renewed to another key meanwhile. Errors: busy at once when
  // too many wait already; invalid_argument, the engine is none for image mode.
  template <typename Work>
  auto with_edge(const std::string& gallery, Work work, Mode mode = Mode::face_template)
      -> decltype(work(std::declval<edge::Edge&>())) {
    const Turn turn(*this, mode);
    if (!turn.admitted) return busy();
    while (true) {
      BAUTA_TRY(const std::string key_id, key_of(gallery));
      const EdgeName name(key_id, mode);
      BAUTA_TRY(std::unique_ptr<edge::Edge> edge, take_edge(name));
      auto result = work(*edge);
      give_back(name, std::move(edge));
      if (result.ok() || !was_renewed(gallery, key_id, result.error())) return result;
    }
  }

  // Whether the authentication server and the key service answer.
  Status check_servers();

  // The face of an image, without recognising it.
  Result<face::FaceOutcome> detect(ByteView image);

 private:
  Desk(DeskOptions options, AuthService& auth, EdgeKeyService& edge_keys)
      : options_(std::move(options)), auth_(auth), edge_keys_(edge_keys) {}

  // A worker's place, held while one request works.
  struct Turn {
    Turn(Desk& desk, Mode mode);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    Desk& desk;
    const Mode mode;
    bool admitted;
  };

  static Error busy();
  Result<std::string> key_of(const std::string& gallery);
  void forget(const std::string& gallery);
  // Whether a request for this key of the gallery failed because it has another one by now. Forgets
  // the key in any case.
  bool was_renewed(const std::string& gallery, const std::string& key_id, const Error& error);
  Result<std::string> active_key();
  using EdgeName = std::pair<std::string, Mode>;  // the id of the key it encrypts for
  Result<std::unique_ptr<edge::Edge>> take_edge(const EdgeName& name);
  Status send_images(edge::Edge& edge, const SecretBytes& seed) const;
  void give_back(const EdgeName& name, std::unique_ptr<edge::Edge> edge);
  // This edge's seed for the key: from its file, or delivered by the key service and then filed.
  Result<SecretBytes> seed_of(const std::string& key_id);

  const DeskOptions options_;
  AuthService& auth_;
  EdgeKeyService& edge_keys_;
  v1::EmbeddingContract contract_;

  std::mutex mutex_;  // guards all below
  std::condition_variable freed_;
  // By mode: those in image mode mostly wait for the authentication server, and the others must
  // not wait for them.
  std::map<Mode, size_t> working_;
  size_t waiting_ = 0;
  std::map<std::string, std::string> key_ids_;  // by gallery
  std::map<EdgeName, std::vector<std::unique_ptr<edge::Edge>>> idle_;
  std::vector<std::unique_ptr<face::Detector>> idle_detectors_;
  std::mutex delivery_;  // of this edge's keys
};

}  // namespace bauta::rest
