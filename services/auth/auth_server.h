// The authentication server: keeps and searches galleries of ciphertexts. It holds no secret key
// and links nothing that decrypts; what it learns is stated in SECURITY.md.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "base/thread_pool.h"
#include "services/answer.h"
#include "services/auth/compaction_queue.h"
#include "services/auth/image_mode.h"
#include "services/auth/loaded_gallery.h"
#include "services/auth/renewal.h"
#include "services/auth/rewriting.h"
#include "services/services.h"
#include "store/audit_lane.h"
#include "store/backup.h"

namespace bauta::auth {

// When an edge may send ciphertexts.
enum class Admission {
  explicitly,  // after admit_edge()
  on_arrival,  // with its first request, which its certificate vouches for; a revoked edge never
               // again
};

// Galleries are compacted in the background: after this many changes, and after every erasure.
inline constexpr uint64_t kCompactAfterChanges = 64;

// What a gallery takes beside its originals and segments.
struct Footprint {
  uint64_t mapped_bytes = 0;     // of segments, shared with the page cache
  uint64_t tail_bytes = 0;       // of blocks in memory
  uint64_t catalogue_bytes = 0;  // on disk, of all galleries: names, digests, indexes, audit log
  double load_ms = 0;            // from nothing to ready for a search
  uint64_t not_compared = 0;     // references in damaged segments
};

class AuthServer final : public AuthService {
 public:
  // Opens or creates the server's directory: catalogue.sqlite, keys/ for the tenants' public keys,
  // and segments/. `keys` must outlive the server. Errors: those of the catalogue.
  static Result<std::unique_ptr<AuthServer>> open(const std::filesystem::path& directory,
                                                  KeyService& keys, size_t threads = 1,
                                                  Admission admission = Admission::explicitly,
                                                  size_t image_requests = kImageRequests);

  // Ends the compactions that are due, so that what was erased is gone from the files.
  ~AuthServer() override = default;

  // Lets an edge send ciphertexts for galleries under this key: fetches and stores its
  // key-switching key. Fine if it is admitted already. Error refused: the edge was revoked.
  Status admit_edge(const std::string& key_id, const std::string& edge_id, uint32_t dimension);
  // Deletes the edge's key-switching keys: what the edge sends from now on is refused, under this
  // and every later key. Fine if it is not known.
  Status revoke_edge(const std::string& edge_id);

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

  // Renews the gallery to a later key of its tenant, in the background of whoever searches
  // (services/auth/renewal.h), and removes everything that was under the key before. Errors: those
  // of KeyService::get_renewal_key and of the renewal.
  Result<RenewalCounts> renew(const std::string& gallery, const std::string& key_id,
                              const RenewalOptions& options = {});
  // Begins that, or goes on with it, on a thread of its own.
  Result<v1::Renewal> renew_gallery(const v1::RenewGalleryRequest& request) override;
  // Begins the renewal of galleries whose key has made way for another because its budget neared
  // its end. Errors: those of KeyService::get_successor.
  Status renew_due();
  // Goes on with what was interrupted when a server ended.
  Status resume_renewals();

  // Adds a whole block of references that keep no originals, durably. Not for edges that are not
  // trusted: what is encrypted in it is not checked. Errors: invalid_argument; already_exists;
  // no_space; those of EvaluationKeys::admit_reference.
  Status enrol_block(const v1::EnrolBlockRequest& request);

  // The whole gallery as one file, and a gallery from such a file (store/backup.h). The key of a
  // restored gallery must exist.
  Result<store::BackupCounts> export_gallery(const std::string& gallery,
                                             const std::filesystem::path& file,
                                             const store::BackupProgress& progress);
  Result<v1::Gallery> restore_gallery(const std::string& gallery, const std::filesystem::path& file,
                                      const store::BackupProgress& progress);
  // Makes damaged segments anew: from the originals, and those of bulk blocks from the backup, if
  // there is one. What is lost still is named in the answer.
  Result<Compaction> repair(const std::string& gallery, const std::filesystem::path& backup);

  // Takes what was erased out of imported blocks (services/auth/rewriting.h). Errors: its.
  Result<Rewriting> rewrite(const std::string& gallery, const RewriteBlock& rewrite_block);

  // References in damaged segments of the galleries in use, as of their last search.
  uint64_t not_compared();

  // Loads the gallery to measure it.
  Result<Footprint> measure(const std::string& gallery);

  // Brings the segments up to date now, and removes what was erased. Errors: busy; no_space.
  Result<Compaction> compact(const std::string& gallery);

 private:
  // The references of a gallery in use: searches side by side, changes alone.
  struct References {
    std::shared_mutex mutex;                // guards what follows
    std::unique_ptr<LoadedGallery> loaded;  // null until somebody searches
  };
  // A gallery in use, as one request has it: its own copy of the row, the rest shared.
  struct Loaded {
    store::Gallery row;  // as last seen
    v1::EmbeddingContract contract;
    std::shared_ptr<match::EvaluationKeys> keys;
    std::shared_ptr<References> references;
  };

  AuthServer(std::filesystem::path directory, store::Catalogue catalogue, KeyService& keys,
             size_t threads, Admission admission, size_t image_requests)
      : directory_(std::move(directory)),
        catalogue_(std::move(catalogue)),
        keys_(keys),
        threads_(threads),
        audit_lane_(catalogue_),
        image_mode_(directory_, catalogue_, keys_, threads_, image_requests),
        admission_(admission) {}

  // The gallery with its keys.
  Result<Loaded> find(const std::string& name);
  // As find(), and checks that the request's embeddings mean what the gallery's mean and that its
  // edge is admitted.
  Result<Loaded> find_for(const std::string& name, const v1::EmbeddingContract& contract,
                          const std::string& edge_id);
  // Calls use(LoadedGallery&) -> Status while nobody changes the references, which are as the
  // catalogue has had them when the row was read, or later.
  template <typename Use>
  Status with_references(const Loaded& gallery, Use use);
  // Precondition: the references are locked for this thread alone.
  Status load_references(const Loaded& gallery);
  // What a search found, and in which state of the references.
  struct Found {
    std::optional<match::Search> search;    // nothing when nobody is enrolled
    std::vector<match::Pseudonym> persons;  // whose the scores are, in the order of the request
    Status complete;                        // whether everybody was compared
    uint64_t generation = 0, not_compared = 0;
  };
  Result<Found> search(const Loaded& gallery, const match::SwitchedProbe& probe,
                       const ring::PublicSeed& seed, v1::Timings& timings);
  // Who holds a slot in the state of a generation. Error busy: nobody, or somebody else, by now.
  Result<std::string> name_of(const store::Gallery& gallery, uint64_t generation, uint64_t slot);
  // One score request for all references of a subject.
  Result<match::ScoreRequest> compare(const Loaded& gallery, const match::SwitchedProbe& probe,
                                      const store::Subject& subject, const ring::PublicSeed& seed);
  Result<std::shared_ptr<match::EvaluationKeys>> open_keys(const std::string& key_id,
                                                           const match::Parameters& parameters);
  Result<v1::Gallery> describe(const store::Gallery& row);
  // The references of an enrolment as they are stored, once the key service has admitted them; and
  // its answer, in the reply. Errors: refused.
  Result<std::vector<Bytes>> originals_of_references(const Loaded& gallery,
                                                     const v1::EnrolRequest& request,
                                                     v1::EnrolReply& reply);
  Result<std::vector<Bytes>> originals_of_images(const Loaded& gallery,
                                                 const v1::EnrolRequest& request,
                                                 v1::EnrolReply& reply);
  Result<v1::Answer> admit(const Loaded& gallery, const v1::EnrolRequest& asked,
                           const Digest& ciphertexts,
                           std::span<const match::StoredReference> references);
  // What images of the edge are extracted by. Errors: ImageMode::open's.
  Result<ImageMode::Use> open_images(const Loaded& gallery, const std::string& edge_id);
  // The probe of an IdentifyRequest or a VerifyRequest, as a template or out of an image.
  template <typename Request>
  Result<match::SwitchedProbe> probe_of(const Request& request, const Loaded& gallery,
                                        v1::Timings& timings);
  // The request for a decision on the scores of an admitted probe.
  template <typename Request>
  Result<v1::DecideRequest> decide_request(const Loaded& gallery, const Request& asked,
                                           const match::SwitchedProbe& probe,
                                           const match::ScoreRequest& scores,
                                           const ring::PublicSeed& seed);
  // Asks the key service. Error refused: what was sent, or a reference, is no template.
  template <typename Request>
  Result<DecisionOutcome> decide(const Loaded& gallery, const Request& asked,
                                 const v1::DecideRequest& request, v1::Answer& answer);
  // Puts into the reply whom the positions that the key service chose belong to. Error refused: the
  // key service has that person locked.
  Status name_candidates(const Loaded& gallery, const Found& found,
                         const v1::IdentifyRequest& request, const DecisionOutcome& outcome,
                         v1::IdentifyReply& reply);
  // Removes what is left of the segments of galleries that no longer exist.
  Status remove_deleted_galleries();
  // Records a search; an answer that cannot be recorded is not given. Holds for kill -9 when it
  // returns, for loss of power some 10 ms later (store/audit_lane.h).
  Status audit(store::AuditEvent event, v1::Decision decision, const std::string& gallery,
               const std::string& subject);

  // A renewal on its own thread.
  struct Renewing {
    std::string key_id;
    std::atomic<bool> running = true;
    std::mutex mutex;  // guards error
    std::string error;
    std::jthread thread;
  };
  void start_renewal(const std::string& gallery, const std::string& key_id);
  void renew_until_done(const std::string& gallery, Renewing& renewing,
                        const std::stop_token& stop);

  Result<Compaction> compact_with(const std::string& gallery, const CompactionOptions& options);
  // What a process that ended in the middle left to do.
  void find_due_galleries();

  std::filesystem::path directory_;
  store::Catalogue catalogue_;
  KeyService& keys_;
  ThreadPool threads_;
  store::AuditLane audit_lane_;
  ImageMode image_mode_;
  const Admission admission_;
  std::mutex mutex_;  // guards the two below; not held while a request is at work
  std::map<std::string, Loaded> loaded_;
  std::map<std::string, uint64_t> not_compared_;  // references in damaged segments, by gallery

  // A failure is no loss: the catalogue is the truth, and the next change or start tries again.
  CompactionQueue compactions_{[this](const std::string& gallery) { (void)compact(gallery); }};

  std::mutex renewing_mutex_;  // guards renewing_
  // By gallery. Ends first, and interrupts what runs.
  std::map<std::string, std::unique_ptr<Renewing>> renewing_;
};

}  // namespace bauta::auth
