// The authentication server's catalogue: galleries, subjects, references, edges and the audit log
// in one SQLite 3 file (docs/formats/catalogue.md). What stands here is the truth; blocks of the
// matcher are derived from it and can be rebuilt.
//
// An operation that returns success is durable: it survives kill -9 and, where the disk honours
// fsync, loss of power. One that returns an error has changed nothing; only a disk that fails in
// the middle of a sync (unavailable) may have kept the change, so ask before repeating it. Audit
// records of searches alone are durable a little later (store/audit_lane.h).
//
// A Catalogue may be used from several threads. Several processes may have the same file open on
// one machine (not over a network file system): writers take turns, readers never wait for writers.
// Do not use a Catalogue in a child of fork().
//
// Errors of every operation, beside those it names:
//   invalid_argument  a name, blob or count outside the limits below
//   busy              another process has held the write lock longer than the busy timeout
//   no_space          the disk is full
//   corrupt           the file is damaged, or a row fails its digest
//   unavailable       the file or its directory cannot be read or written
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/result.h"

namespace bauta::store {

inline constexpr size_t kMaxNameBytes = 128;
inline constexpr size_t kMaxContractBytes = size_t{1} << 16;
inline constexpr uint32_t kMaxDimension = 4096;
inline constexpr size_t kMaxOriginalBytes = size_t{1} << 20;
inline constexpr size_t kMaxReferencesPerSubject = 256;
inline constexpr uint32_t kBlockPositions = 4096;             // that share a segment
inline constexpr uint32_t kMaxPositions = uint32_t{1} << 22;  // per gallery: 1,024 blocks
inline constexpr size_t kMaxSwitchingKeyBytes = size_t{1} << 24;
inline constexpr size_t kMaxAuditRecordsPerRead = 10000;

// Names (of galleries, subjects, keys, edges) are 1 to 128 of A-Z a-z 0-9 . _ - and begin with a
// letter or digit, so that they are safe in paths, logs and command lines. They are compared byte
// by byte. A subject's name must be opaque: it stays in the audit log after the subject is erased.
// `what` stands in the error, e.g. "gallery".
Status check_name(std::string_view what, std::string_view name);

struct NewGallery {
  std::string name;
  std::string key_id;  // the tenant key its references are encrypted under
  // The embedding contract, serialised by its owner; compared by its digest alone.
  std::string contract;
  uint32_t dimension = 0;  // of a template, 1..kMaxDimension
};

struct Gallery {
  int64_t id = 0;  // never used again, also not by a later gallery of the same name
  std::string name;
  std::string key_id;
  std::string contract;
  Digest contract_digest{};  // SHA-256 of contract
  uint32_t dimension = 0;
  int64_t created_at_ms = 0;      // since 1970, UTC, as all times here
  uint64_t generation = 0;        // when this was read; grows with every enrolment and erasure
  uint64_t segments_version = 0;  // likewise; grows whenever the set of segments changes
  uint64_t compacted = 0;         // the generation that the segments hold
};

struct Reference {
  int64_t id = 0;         // never used again
  uint32_t position = 0;  // in the gallery, from 0: block position / 4096, coefficient % 4096
  int64_t created_at_ms = 0;
  bool bulk = false;  // came in a block that was made whole, and has no original
};

// Exists while it has at least one live reference.
struct Subject {
  std::string name;
  std::vector<Reference> references;  // by position
};

// Valid during the callback only.
struct ReferenceView {
  int64_t id;
  uint32_t position;
  bool live;                 // false: the position holds nothing (any more)
  bool bulk;                 // came in a block that was made whole, and has no original
  std::string_view subject;  // empty unless live
  ByteView original;         // the reference ciphertext; empty unless live and not bulk
  int64_t created_at_ms;
};

// A file that holds the references of one block (store/segment.h).
struct Segment {
  uint32_t block = 0;
  bool bulk = false;
  std::string file;
  uint64_t size_bytes = 0;
};

// The segments of a gallery hold exactly what was live at generation `compacted`, but bulk blocks:
// they also hold what was erased of them.
struct SegmentSet {
  std::string key_id;  // the gallery's, of the same moment
  uint64_t version = 0;
  uint64_t compacted = 0;
  std::vector<Segment> segments;  // by block
};

// Who holds a position.
struct Holder {
  Reference reference;
  std::string subject;
  uint64_t generation = 0;  // since when
};

struct RestoredReference {
  uint32_t position = 0;
  int64_t created_at_ms = 0;
  std::string subject;
  Bytes original;  // empty in a bulk block
};

// A reference's ciphertext on its way to another key.
struct Original {
  int64_t reference_id = 0;
  uint32_t position = 0;
  Bytes bytes;
};

// How far the originals of a gallery are.
struct RenewalProgress {
  std::string key_id;  // that they are being renewed to; empty: none
  uint64_t originals = 0, renewed = 0;
};

struct GalleryStats {
  uint64_t subjects = 0;
  uint64_t references = 0;      // live ones
  uint64_t bulk = 0;            // of these, without an original
  uint64_t erased = 0;          // positions below the highest ever assigned that hold nothing now
  uint64_t original_bytes = 0;  // of the live references
  uint64_t segment_bytes = 0;
  uint64_t segments = 0;
  uint64_t tail = 0;  // live, and in no segment yet
};

// A subject that exists already: an error, or a subject with more references than before.
enum class IfEnrolled { refuse, add };

struct Erasure {
  uint64_t references = 0;
  // False: the references are out of use for good, but their bytes may still lie in the files,
  // because another process keeps reading an older state, the disk is full, or a segment holds
  // them. finish_erasures() tries again.
  bool bytes_gone = false;
};

struct Edge {
  std::string id;
  std::string key_id;   // the key it is switched to
  Bytes switching_key;  // from the edge's key to key_id
  int64_t created_at_ms = 0;
};

// Persistent: the values stand in the hash chain. Append only.
enum class AuditEvent : uint8_t {
  gallery_created = 1,
  gallery_deleted = 2,
  enrolment = 3,
  erasure = 4,
  edge_added = 5,
  edge_revoked = 6,
  identification = 7,
  verification = 8,
  gallery_renewed = 9,
};

// Persistent, append only.
enum class AuditOutcome : uint8_t {
  accepted = 1,  // also: done
  rejected = 2,
  failed = 3,   // no decision could be made
  refused = 4,  // by policy
};

const char* audit_event_name(AuditEvent event);
const char* audit_outcome_name(AuditOutcome outcome);

// Carries neither scores nor personal data; names are opaque.
struct AuditEntry {
  AuditEvent event = AuditEvent::identification;
  AuditOutcome outcome = AuditOutcome::failed;
  std::string gallery;  // a key id for edge_added; or empty
  // An edge id for edge_added and edge_revoked, a key id for gallery_renewed; or empty.
  std::string subject;
};

struct AuditRecord {
  uint64_t sequence = 0;  // 1, 2, 3 … without gaps
  int64_t time_ms = 0;
  AuditEntry entry;
  Digest digest{};  // SHA-256 over the previous record's digest and this record
};

// The last record; sequence 0 and a digest of zeros for an empty log. Whoever keeps a copy
// elsewhere can tell later that the log still contains it.
struct AuditHead {
  uint64_t sequence = 0;
  Digest digest{};
};

struct OpenOptions {
  int busy_timeout_ms = 5000;
};

class Catalogue {
 public:
  // Opens the file, or creates it (mode 0600) in a directory that exists; brings an older schema
  // forward. Errors: not_found, no such directory; mismatch, a newer schema or another program's
  // database; corrupt, not a database.
  static Result<Catalogue> open(const std::filesystem::path& path, OpenOptions options = {});
  Catalogue(Catalogue&&) noexcept;
  Catalogue& operator=(Catalogue&&) noexcept;
  ~Catalogue();

  // Error: already_exists.
  Result<Gallery> create_gallery(const NewGallery& gallery);
  // Error: not_found.
  Result<Gallery> find_gallery(std::string_view name);
  // By name.
  Result<std::vector<Gallery>> list_galleries();
  // With its subjects, references and rows of segments; the audit log stays. Error: not_found.
  Result<Erasure> delete_gallery(std::string_view name);

  // The operations below identify a gallery by its id and fail with not_found once it is deleted.

  // Adds one reference per original, all or none, and the audit record, in one transaction. A
  // reference takes the lowest position whose erasure is complete, else the next one never used.
  // Errors: already_exists (unless `add`); no_space also when the positions are used up; mismatch
  // when the gallery is no longer under gallery.key_id.
  Result<std::vector<Reference>> enrol(const Gallery& gallery, std::string_view subject,
                                       std::span<const Bytes> originals,
                                       IfEnrolled if_enrolled = IfEnrolled::refuse);
  // Error: not_found.
  Result<Subject> find_subject(const Gallery& gallery, std::string_view subject);
  // By name.
  Result<std::vector<std::string>> list_subjects(const Gallery& gallery);
  // Takes the subject and its references out of use and returns their number; its name may be
  // enrolled again. Their bytes go with finish_erasures(). Error: not_found.
  Result<uint64_t> retire_subject(const Gallery& gallery, std::string_view subject);
  // Removes the originals of what was retired, in all galleries. A position is free for another
  // reference once no segment holds the former one. False: some bytes still remain.
  Result<bool> finish_erasures();
  // Both.
  Result<Erasure> erase_subject(const Gallery& gallery, std::string_view subject);

  // The ciphertext of one reference. Error: not_found, also when it was erased or came in bulk.
  Result<Bytes> read_original(const Gallery& gallery, int64_t reference_id);
  // Error: not_found when the position holds nothing.
  Result<Holder> find_holder(const Gallery& gallery, uint32_t position);

  // --- Segments

  Result<SegmentSet> segments(const Gallery& gallery);
  // Makes `put` and the removal of `dropped` blocks the new set, and `compacted` its generation.
  // Error: busy when the set is no longer at `version`.
  Status replace_segments(const Gallery& gallery, uint64_t version, uint64_t compacted,
                          std::span<const Segment> put, std::span<const uint32_t> dropped);
  // Puts another segment in place of a bulk block's, and removes the rows of erased references that
  // it no longer holds. Error: busy, as replace_segments.
  Status rewrite_segment(const Gallery& gallery, const SegmentSet& set, const Segment& segment,
                         std::span<const uint32_t> removed);
  // Blocks of single references with changes after `since`, ascending.
  Result<std::vector<uint32_t>> changed_blocks(const Gallery& gallery, uint64_t since);
  // Live references of one block that are not newer than `until`, by position; without names.
  Result<std::vector<Holder>> read_block(const Gallery& gallery, uint32_t block, uint64_t until);
  // Who holds the live references of one block, by position. The callback may not use the
  // catalogue.
  Status for_each_name(const Gallery& gallery, uint32_t block,
                       const std::function<void(uint32_t, std::string_view)>& callback);
  // The ciphertext of a retired reference that was enrolled not later than `until`, while it is
  // still there. Error: not_found.
  Result<Bytes> read_retired(const Gallery& gallery, uint32_t position, uint64_t until);
  // Positions in bulk blocks that were erased; their bytes remain in the segment.
  Result<std::vector<uint32_t>> retired_in_bulk(const Gallery& gallery);

  // --- Restoring a backup (store/backup.h)

  // A gallery that has no name yet and is known to its restorer alone; one of an interrupted
  // restoration under this name goes. Error: already_exists.
  Result<Gallery> begin_restoration(const NewGallery& gallery);
  // Error corrupt: a reference that cannot be.
  Status restore_references(const Gallery& gallery, std::span<const RestoredReference> references);
  // A bulk block: what the segment holds beside the references named was erased.
  Status restore_block(const Gallery& gallery, const Segment& segment,
                       const std::array<uint8_t, kBlockPositions / 8>& held,
                       std::span<const RestoredReference> references);
  // Error: already_exists.
  Result<Gallery> finish_restoration(const Gallery& gallery, const std::string& name);
  // Also one that is being restored.
  Result<bool> has_gallery(int64_t id);

  // --- Renewal: a second original of every reference, under another key, and one transaction in
  // which the gallery changes over to these. Until then nobody sees them.

  // Says to which key; what is there for that key already is kept, and for another one removed.
  Status begin_renewal(const Gallery& gallery, std::string_view key_id);
  Result<RenewalProgress> renewal_progress(const Gallery& gallery);
  // Some that have no second original yet, by position, behind `position`; -1: from the first.
  Result<std::vector<Original>> originals_to_renew(const Gallery& gallery, int64_t position);
  // In one transaction, without those that were erased or renewed in the meantime. Error mismatch:
  // the gallery is not being renewed to that key (any more).
  Status put_renewed(const Gallery& gallery, std::string_view key_id,
                     std::span<const Original> renewed);
  // Error: not_found, also when the reference was erased.
  Result<Bytes> read_renewed(const Gallery& gallery, int64_t reference_id);
  // Changes the gallery over: its key, every original, and `segments`, which hold what was live at
  // generation `compacted`, in place of all others. False: a reference came that has no second
  // original yet, and nothing was changed. Error: busy when the set is no longer at `version`.
  Result<bool> finish_renewal(const Gallery& gallery, uint64_t version, uint64_t compacted,
                              std::span<const Segment> segments);
  // Deletes some of what is left of a renewal that is over: the originals under the key before.
  // False: there was nothing. finish_erasures() takes them out of the log.
  Result<bool> remove_former(const Gallery& gallery);

  // Whether something that is no longer in use waits for a compaction of the gallery: erased
  // references, or what a renewal left under the key before.
  Result<bool> erasures_wait(const Gallery& gallery);

  // One behind the highest position of a single reference, live or not.
  Result<uint32_t> end_of_positions(const Gallery& gallery);
  // The first block that holds nothing and has nothing behind it.
  Result<uint32_t> next_block(const Gallery& gallery);
  // Adds references without originals, subject i at coefficient i of the segment's block, with the
  // segment itself and an audit record for every subject, in one transaction. Errors: as enrol;
  // busy when the block is taken.
  Status enrol_block(const Gallery& gallery, const Segment& segment,
                     std::span<const std::string> subjects, IfEnrolled if_enrolled);

  // The gallery's present generation: a read of microseconds, for a process that wants to know
  // whether another one changed the gallery.
  Result<uint64_t> generation(const Gallery& gallery);
  // Streams the positions that changed after generation `since`, in the order of their changes,
  // and returns the generation to ask from next time. Live references in bulk blocks are left out:
  // they come with their segments. since = 0 leaves the erased out as well. Apply each view by
  // position: whatever stood there before is replaced, or gone if the view is not
  // live. Positions are used again after an erasure, so match and name subjects from one and the
  // same state: never look a position of an earlier search up in a later state.
  // Changes made while it runs come with the next call. An error of the callback stops the stream
  // and is returned. The callback may use the catalogue.
  Result<uint64_t> for_each_reference(const Gallery& gallery, uint64_t since,
                                      const std::function<Status(const ReferenceView&)>& callback);
  // Streams all live references, also those in bulk blocks, by position.
  Status for_each_live(const Gallery& gallery,
                       const std::function<Status(const ReferenceView&)>& callback);
  // The file without the originals, of all galleries together.
  Result<uint64_t> bytes_beside_originals();
  // Counts rows: some 0.2 us per reference.
  Result<GalleryStats> stats(const Gallery& gallery);

  // Errors: already_exists; refused for an id that was revoked, whatever the key: an edge does not
  // come back with the tenant's next key.
  Status put_edge(std::string_view key_id, std::string_view edge_id, ByteView switching_key);
  // Errors: not_found; refused when revoked.
  Result<Edge> find_edge(std::string_view key_id, std::string_view edge_id);
  // The edges that may send under a key.
  Result<std::vector<std::string>> list_edges(std::string_view key_id);
  // Deletes the switching keys of the edge to every key, and refuses the id from now on; fine if it
  // is not known, or revoked before. Returns whether the bytes are gone, as Erasure::bytes_gone.
  Result<bool> revoke_edge(std::string_view edge_id);
  // By name.
  Result<std::vector<std::string>> revoked_edges();

  // For events that do not change the catalogue (those that do are recorded with the change).
  // Empty or valid names only. Returns the new head.
  Result<AuditHead> append_audit(const AuditEntry& entry);
  // Several at once, all or none, and not durable yet: they survive kill -9 of this process, but
  // loss of power only after sync_audit() or whatever else this catalogue makes durable.
  Status append_audit_unsynced(std::span<const AuditEntry> entries);
  // Makes durable what append_audit_unsynced() has appended before. Others may use the catalogue
  // meanwhile. Error unavailable: what is on the disk is not known, also after a later success.
  Status sync_audit();
  // Moves the write-ahead log into the database, as other changes do once it is long; audit records
  // that are not synced do not. Takes some syncs, for which others wait.
  Status shorten_log();
  // The last record, without verifying the ones before it.
  Result<AuditHead> audit_head();
  // At most `count` (up to kMaxAuditRecordsPerRead) records that follow `after`.
  Result<std::vector<AuditRecord>> read_audit(uint64_t after, size_t count);
  // Recomputes the chain from the beginning and returns its last record. Error: corrupt, naming the
  // first record that does not fit. A log that was rewritten as a whole, or cut at its end together
  // with its counter, still fits: keep the head elsewhere and compare.
  Result<AuditHead> verify_audit_chain();

  // Reads everything: the database's structure, every row's and every blob's digest, the chain.
  // Takes as long as reading the file. Error: corrupt, naming the first thing that is wrong.
  Status check();

 private:
  struct State;
  explicit Catalogue(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bauta::store
