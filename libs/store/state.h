// What the parts of the catalogue's implementation share.
#pragma once

#include <algorithm>
#include <mutex>

#include "base/clock.h"
#include "store/catalogue.h"
#include "store/schema.h"

namespace bauta::store {

struct Catalogue::State {
  State(Connection writing, Connection auditor, Connection reader)
      : connection(std::move(writing)), auditing(std::move(auditor)), reading(std::move(reader)) {}
  ~State();

  Connection connection;
  // For audit records that are synced later; used with the mutex held, so that the two never wait
  // for each other within SQLite, which waits by sleeping.
  Connection auditing;
  int log_file = -1;  // the write-ahead log, once `auditing` has written to it
  std::mutex mutex;   // one operation at a time on the connections above
  // A second connection, so that reads wait for no write, and above all for none that is syncing.
  // Each of its statements sees everything that was committed before.
  Connection reading;
  std::mutex reading_mutex;
};

// SHA-256 over the columns of a row that do not change while it is live, with lengths and a tag of
// the table, so that a row damaged on disk is noticed when it is read.
Digest gallery_digest(const Gallery& gallery);
Digest reference_digest(int64_t gallery_id, std::string_view subject, const Reference& reference,
                        ByteView original_digest);
Digest edge_digest(const Edge& edge);

inline bool equals(ByteView stored, const Digest& computed) {
  return std::equal(stored.begin(), stored.end(), computed.begin(), computed.end());
}

// The error for a row or blob that fails its digest, e.g. what = "reference 7 of gallery doors".
Error damaged(const Connection& connection, std::string_view what);
Error gallery_gone(const Gallery& gallery);
Error not_enrolled(const Gallery& gallery, std::string_view subject);

// Stores bytes behind their padding and returns the row's id.
Result<int64_t> insert_payload(Connection& connection, ByteView bytes);

// The functions below run inside the caller's transaction.

// Error: not_found when the gallery was deleted.
Result<uint64_t> read_generation(Connection& connection, const Gallery& gallery);
// Error: mismatch when the gallery is no longer under gallery.key_id.
Status check_key(Connection& connection, const Gallery& gallery);
// Moves the gallery on to its next generation and returns it.
Result<uint64_t> advance_generation(Connection& connection, const Gallery& gallery);
Status check_new_gallery(const NewGallery& gallery);
// Error: already_exists.
Status check_gallery_is_new(Connection& connection, std::string_view name);
Result<Gallery> insert_gallery(Connection& connection, const NewGallery& gallery);
// Takes a gallery with all its references out of use, if it exists; returns their number.
Result<uint64_t> retire_gallery(Connection& connection, std::string_view name);
// Error: mismatch, of a gallery that is under another key by now.
Error renewed_meanwhile(const Gallery& gallery);
Status put_segment(Connection& connection, const Gallery& gallery, const Segment& segment);
Result<SegmentSet> read_segments(Connection& connection, const Gallery& gallery);
// Error: already_exists (unless `add`); invalid_argument for more than a subject may have.
Status check_subject_may_grow(Connection& connection, const Gallery& gallery,
                              std::string_view subject, size_t added, IfEnrolled if_enrolled);
// Of a row of `renewal`; the row itself goes once the log is emptied.
Status delete_renewal_payload(Connection& connection, int64_t reference_id);
// Empty or valid names only.
Status check_audit_entry(const AuditEntry& entry);
// The entry is checked by the caller.
Result<AuditHead> append_audit_record(Connection& connection, const AuditEntry& entry);
Result<AuditHead> read_audit_head(Connection& connection);

// Outside a transaction. Deletes the payloads of rows that are `erasing`, empties the log and marks
// the rows `erased`. False: the log could not be emptied and the rows are `erasing` still.
Result<bool> wipe_erased(Connection& connection);
// The same after an erasure that is already durable: false also when it failed.
bool wipe_if_possible(Connection& connection);

}  // namespace bauta::store
