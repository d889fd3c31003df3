// The authentication server: keeps and searches galleries of ciphertexts. It holds no secret key
// and links nothing that decrypts; what it learns is stated in SECURITY.md.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/thread_pool.h"
#include "match/gallery.h"
#include "services/auth/image_mode.h"
#include "services/services.h"
#include "store/catalogue.h"

namespace bauta::auth {

// When an edge may send ciphertexts.
enum class Admission {
  explicitly,  // after admit_edge()
  on_arrival,  // with its first request, which its certificate vouches for; a revoked edge never
               // again
};

class AuthServer final : public AuthService {
 public:
  // Opens or creates the server's directory: catalogue.sqlite, and keys/ for the tenants' public
  // keys. `keys` must outlive the server. Errors: those of the catalogue.
  static Result<std::unique_ptr<AuthServer>> open(const std::filesystem::path& directory,
                                                  KeyService& keys, size_t threads = 1,
                                                  Admission admission = Admission::explicitly);

  // Lets an edge send ciphertexts for galleries under this key: fetches and stores its
  // key-switching key. Fine if it is admitted already. Error refused: the edge was revoked.
  Status admit_edge(const std::string& key_id, const std::string& edge_id, uint32_t dimension);
  // Deletes the edge's key-switching key: what the edge sends from now on is refused. Error
  // not_found.
  Status revoke_edge(const std::string& key_id, const std::string& edge_id);

  // Deletes every public key of a key that is destroyed, also one that switches from it to another.
  Status forget_key(const std::string& key_id);

  // Keeps a network (a .bnet file), so that galleries of its engine take encrypted images too.
  // Errors: those of network::parse_network and circuits::make_plan.
  Status add_network(ByteView file);

  Result<v1::Gallery> create_gallery(const v1::CreateGalleryRequest& request) override;
  Result<v1::ListGalleriesReply> list_galleries(const v1::ListGalleriesRequest& request) override;
  Result<v1::Gallery> get_gallery(const v1::GetGalleryRequest& request) override;
  Result<v1::DeleteGalleryReply> delete_gallery(const v1::DeleteGalleryRequest& request) override;
  Result<v1::EnrolReply> enrol(const v1::EnrolRequest& request) override;
  Result<v1::EraseReply> erase(const v1::EraseRequest& request) override;
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& request) override;
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& request) override;

 private:
  // A reference as the matcher's slots map back to the catalogue.
  struct Enrolled {
    int64_t reference_id = 0;
    std::string subject;
  };

  // A gallery in memory, derived from the catalogue and kept in step with it.
  struct Loaded {
    store::Gallery row;
    v1::EmbeddingContract contract;
    std::shared_ptr<match::EvaluationKeys> keys;
    std::map<uint64_t, Enrolled> enrolled;  // by slot
    std::unique_ptr<match::Gallery> references;
    uint64_t generation = 0;   // of the catalogue, as far as it is loaded
    bool quarantined = false;  // a reference that the catalogue has is out of the comparison
  };

  AuthServer(std::filesystem::path directory, store::Catalogue catalogue, KeyService& keys,
             size_t threads, Admission admission)
      : directory_(std::move(directory)),
        catalogue_(std::move(catalogue)),
        keys_(keys),
        threads_(threads),
        image_mode_(directory_, catalogue_, keys_, threads_),
        admission_(admission) {}

  // The gallery with everything that the catalogue holds of it by now.
  Result<Loaded*> load(const std::string& name);
  Status load_references(Loaded& gallery);
  // As load(), and checks that the request's embeddings mean what the gallery's mean and that its
  // edge is admitted.
  Result<Loaded*> load_for(const std::string& name, const v1::EmbeddingContract& contract,
                           const std::string& edge_id);
  Result<std::shared_ptr<match::EvaluationKeys>> open_keys(const std::string& key_id,
                                                           const match::Parameters& parameters);
  Result<v1::Gallery> describe(const store::Gallery& row);
  // Asks the key service whether each is a template, whose squared norm may lie further than the
  // contract says from 1 by `tolerance`, if that is not 0. Error refused, saying which is not and
  // why.
  Status admit_references(const Loaded& gallery, const std::string& edge_id,
                          std::span<const match::StoredReference> references, double tolerance = 0);
  // What admit_references and measured_length ask.
  Result<v1::AdmitReply> admit(const Loaded& gallery, const v1::Origin& origin,
                               std::span<const match::StoredReference> references);
  // Of an embedding that only the key service can read. Errors: refused.
  Result<double> measured_length(const Loaded& gallery, const std::string& edge_id,
                                 const circuits::FeatureExtractor& extractor,
                                 const circuits::Features& features);
  // The embedding in an encrypted image, and its length.
  struct Extracted {
    const circuits::FeatureExtractor* extractor;
    circuits::Features features;
    double length;
  };
  Result<Extracted> extract(const Loaded& gallery, const std::string& edge_id, ByteView image);
  // The probe of an IdentifyRequest or a VerifyRequest, as a template or out of an image.
  template <typename Request>
  Result<match::SwitchedProbe> probe_of(const Request& request, const Loaded& gallery,
                                        v1::Timings& timings);
  // The request for a decision on the scores of an admitted probe.
  template <typename Request>
  Result<v1::DecideRequest> decide_request(const Loaded& gallery, const Request& asked,
                                           const match::SwitchedProbe& probe,
                                           const match::ScoreRequest& scores);
  // Takes the references whose scores were implausible out of the comparison, until the gallery is
  // loaded again; the key service has them on record.
  static Status quarantine(Loaded& gallery, const match::ScoreMap& map,
                           const v1::DecideReply& decided);
  Status audit(store::AuditEvent event, v1::Decision decision, const std::string& gallery,
               const std::string& subject);

  std::filesystem::path directory_;
  store::Catalogue catalogue_;
  KeyService& keys_;
  ThreadPool threads_;
  ImageMode image_mode_;
  const Admission admission_;
  std::mutex mutex_;  // guards loaded_ and what it points to
  std::map<std::string, std::unique_ptr<Loaded>> loaded_;
};

}  // namespace bauta::auth
