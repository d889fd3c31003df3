#include "store/state.h"

namespace bauta::store {
namespace {

constexpr int64_t kReferencesPerBatch = 64;

Error damaged_reference(const Connection& connection, const Gallery& gallery, int64_t id) {
  return damaged(connection, fmt::format("reference {} of gallery {}", id, gallery.name));
}

Status check_originals(std::span<const Bytes> originals) {
  if (originals.empty() || originals.size() > kMaxReferencesPerSubject)
    return make_error(ErrorCode::invalid_argument,
                      "cannot enrol {} references at once; 1 to {} are allowed", originals.size(),
                      kMaxReferencesPerSubject);
  for (const Bytes& original : originals)
    if (original.empty() || original.size() > kMaxOriginalBytes)
      return make_error(ErrorCode::invalid_argument,
                        "a reference ciphertext has {} bytes; 1 to {} are allowed", original.size(),
                        kMaxOriginalBytes);
  return {};
}

// The first position at or after this one that lies in no bulk block.
Result<int64_t> skip_bulk_blocks(Connection& connection, const Gallery& gallery, int64_t position) {
  while (true) {
    const int64_t block = position / kBlockPositions;
    BAUTA_TRY(const int64_t bulk,
              connection.query_integer("SELECT EXISTS (SELECT 1 FROM segment WHERE gallery = ?1 "
                                       "AND block = ?2 AND bulk = 1)",
                                       {gallery.id, block}));
    if (bulk == 0) return position;
    position = (block + 1) * kBlockPositions;
  }
}

// The lowest erased positions, whose rows are removed, then the next ones never used.
Result<std::vector<uint32_t>> take_positions(Connection& connection, const Gallery& gallery,
                                             size_t count) {
  BAUTA_TRY(
      int64_t next,
      connection.query_integer(
          "SELECT coalesce(max(position) + 1, 0) FROM reference WHERE gallery = ?1 AND bulk = 0",
          {gallery.id}));
  BAUTA_TRY(Statement erased,
            connection.prepare("SELECT position FROM reference WHERE gallery = ?1 AND state = 3 "
                               "ORDER BY position LIMIT ?2",
                               {gallery.id, static_cast<int64_t>(count)}));
  std::vector<uint32_t> positions;
  while (true) {
    BAUTA_TRY(const bool row, erased.step());
    if (!row) break;
    positions.push_back(static_cast<uint32_t>(erased.integer(0)));
  }
  for (const uint32_t position : positions)
    BAUTA_CHECK(connection.run("DELETE FROM reference WHERE gallery = ?1 AND position = ?2",
                               {gallery.id, int64_t{position}}));
  while (positions.size() < count) {
    BAUTA_TRY(next, skip_bulk_blocks(connection, gallery, next));
    if (next < 0 || next >= int64_t{kMaxPositions})
      return make_error(ErrorCode::no_space,
                        "the gallery {} has used all {} positions; begin another gallery",
                        gallery.name, kMaxPositions);
    positions.push_back(static_cast<uint32_t>(next++));
  }
  return positions;
}

Result<Reference> insert_reference(Connection& connection, const Gallery& gallery,
                                   uint64_t generation, std::string_view subject, uint32_t position,
                                   const Bytes& original) {
  const Digest original_digest = sha256(original);
  Reference reference{0, position, now_ms()};
  BAUTA_TRY(const int64_t payload, insert_payload(connection, original));
  BAUTA_TRY(reference.id,
            connection.query_integer(
                "INSERT INTO reference (gallery, position, generation, enrolled, state, bulk, "
                "subject, created_at_ms, original_bytes, original_digest, digest, payload) "
                "VALUES (?1, ?2, ?3, ?3, 1, 0, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
                {gallery.id, int64_t{position}, static_cast<int64_t>(generation), subject,
                 reference.created_at_ms, static_cast<int64_t>(original.size()), original_digest,
                 reference_digest(gallery.id, subject, reference, original_digest), payload}));
  return reference;
}

// Columns 0 to 4: id, position, created_at_ms, original_digest, digest.
Result<Reference> parse_reference(const Connection& connection, const Gallery& gallery,
                                  std::string_view subject, const Statement& row) {
  const Reference reference{row.integer(0), static_cast<uint32_t>(row.integer(1)), row.integer(2)};
  if (!std::in_range<uint32_t>(row.integer(1)) ||
      !equals(row.bytes(4), reference_digest(gallery.id, subject, reference, row.bytes(3))))
    return damaged_reference(connection, gallery, reference.id);
  return reference;
}

// A position and what it holds now.
struct Change {
  uint64_t generation = 0;
  Reference reference;
  bool live = false, bulk = false;
  std::string subject;
  Bytes original;
};

constexpr const char* kChangeColumns =
    "SELECT r.id, r.position, r.created_at_ms, r.original_digest, r.digest, r.generation, r.state, "
    "r.subject, p.bytes, r.bulk "
    "FROM reference r LEFT JOIN payload p ON p.id = r.payload AND r.state = 1 ";

Result<Change> parse_change(const Connection& connection, const Gallery& gallery,
                            const Statement& row) {
  Change change;
  change.generation = static_cast<uint64_t>(row.integer(5));
  change.live = row.integer(6) == static_cast<int64_t>(RowState::live);
  if (!change.live) {
    if (!std::in_range<uint32_t>(row.integer(1)) || !row.is_null(7))
      return damaged_reference(connection, gallery, row.integer(0));
    change.reference = {row.integer(0), static_cast<uint32_t>(row.integer(1)), row.integer(2)};
    return change;
  }
  change.subject = row.text(7);
  BAUTA_TRY(change.reference, parse_reference(connection, gallery, change.subject, row));
  change.bulk = row.integer(9) != 0;
  if (!change.bulk && !equals(row.bytes(3), sha256(row.bytes(8))))
    return damaged_reference(connection, gallery, change.reference.id);
  change.original.assign(row.bytes(8).begin(), row.bytes(8).end());
  return change;
}

Result<std::vector<Change>> parse_changes(const Connection& connection, const Gallery& gallery,
                                          Statement rows) {
  std::vector<Change> changes;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return changes;
    BAUTA_TRY(Change change, parse_change(connection, gallery, rows));
    changes.push_back(std::move(change));
  }
}

// What changed after (generation, position) `from`, up to generation `until`, in that order.
Result<std::vector<Change>> read_changes(Connection& connection, const Gallery& gallery,
                                         std::pair<uint64_t, int64_t> from, uint64_t until,
                                         bool with_erased) {
  BAUTA_TRY(
      Statement rows,
      connection.prepare(std::string(kChangeColumns) +
                             "WHERE r.gallery = ?1 AND (r.generation, r.position) > (?2, ?3) "
                             "AND r.generation <= ?4 AND (r.state = 1 OR ?5) "
                             "AND (r.bulk = 0 OR r.state <> 1) "
                             "ORDER BY r.generation, r.position LIMIT ?6",
                         {gallery.id, static_cast<int64_t>(from.first), from.second,
                          static_cast<int64_t>(until), int64_t{with_erased}, kReferencesPerBatch}));
  return parse_changes(connection, gallery, std::move(rows));
}

// The live references behind a position, by position.
Result<std::vector<Change>> read_live(Connection& connection, const Gallery& gallery,
                                      int64_t behind) {
  BAUTA_TRY(Statement rows, connection.prepare(std::string(kChangeColumns) +
                                                   "WHERE r.gallery = ?1 AND r.position > ?2 AND "
                                                   "r.state = 1 ORDER BY r.position LIMIT ?3",
                                               {gallery.id, behind, kReferencesPerBatch}));
  return parse_changes(connection, gallery, std::move(rows));
}

ReferenceView view_of(const Change& change) {
  return {
      change.reference.id, change.reference.position,     change.live, change.bulk, change.subject,
      change.original,     change.reference.created_at_ms};
}

}  // namespace

Status check_subject_may_grow(Connection& connection, const Gallery& gallery,
                              std::string_view subject, size_t added, IfEnrolled if_enrolled) {
  BAUTA_TRY(
      const int64_t present,
      connection.query_integer("SELECT count(*) FROM reference WHERE gallery = ?1 AND subject = ?2",
                               {gallery.id, subject}));
  if (present != 0 && if_enrolled == IfEnrolled::refuse)
    return make_error(ErrorCode::already_exists,
                      "the subject {} is already enrolled in gallery {}; ask to add references, or "
                      "erase the subject first",
                      subject, gallery.name);
  if (static_cast<size_t>(present) + added > kMaxReferencesPerSubject)
    return make_error(ErrorCode::invalid_argument,
                      "the subject {} has {} references and cannot take {} more; at most {} are "
                      "allowed",
                      subject, present, added, kMaxReferencesPerSubject);
  return {};
}

Result<uint64_t> read_generation(Connection& connection, const Gallery& gallery) {
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT generation FROM gallery WHERE id = ?1 AND name IS NOT NULL",
                               {gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return gallery_gone(gallery);
  return static_cast<uint64_t>(row.integer(0));
}

Status check_key(Connection& connection, const Gallery& gallery) {
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT key_id FROM gallery WHERE id = ?1 AND name IS NOT NULL",
                               {gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return gallery_gone(gallery);
  if (row.text(0) != gallery.key_id) return renewed_meanwhile(gallery);
  return {};
}

Result<uint64_t> advance_generation(Connection& connection, const Gallery& gallery) {
  BAUTA_TRY(const uint64_t generation, read_generation(connection, gallery));
  BAUTA_CHECK(connection.run("UPDATE gallery SET generation = ?2 WHERE id = ?1",
                             {gallery.id, static_cast<int64_t>(generation + 1)}));
  return generation + 1;
}

Result<std::vector<Reference>> Catalogue::enrol(const Gallery& gallery, std::string_view subject,
                                                std::span<const Bytes> originals,
                                                IfEnrolled if_enrolled) {
  BAUTA_CHECK(check_name("subject", subject));
  BAUTA_CHECK(check_originals(originals));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(check_key(connection, gallery));
  BAUTA_TRY(const uint64_t generation, advance_generation(connection, gallery));
  BAUTA_CHECK(check_subject_may_grow(connection, gallery, subject, originals.size(), if_enrolled));
  BAUTA_TRY(const auto positions, take_positions(connection, gallery, originals.size()));
  std::vector<Reference> references;
  for (size_t i = 0; i < originals.size(); ++i) {
    BAUTA_TRY(const Reference reference, insert_reference(connection, gallery, generation, subject,
                                                          positions[i], originals[i]));
    references.push_back(reference);
  }
  BAUTA_CHECK(append_audit_record(connection, {AuditEvent::enrolment, AuditOutcome::accepted,
                                               gallery.name, std::string(subject)}));
  BAUTA_CHECK(transaction.commit());
  return references;
}

Result<Subject> Catalogue::find_subject(const Gallery& gallery, std::string_view subject) {
  BAUTA_CHECK(check_name("subject", subject));
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT id, position, created_at_ms, original_digest, digest, bulk "
                               "FROM reference WHERE gallery = ?1 AND subject = ?2 "
                               "ORDER BY position",
                               {gallery.id, subject}));
  Subject found{std::string(subject), {}};
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) break;
    BAUTA_TRY(Reference reference, parse_reference(connection, gallery, subject, rows));
    reference.bulk = rows.integer(5) != 0;
    found.references.push_back(reference);
  }
  if (found.references.empty()) return not_enrolled(gallery, subject);
  return found;
}

Result<std::vector<std::string>> Catalogue::list_subjects(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT DISTINCT subject FROM reference "
                               "WHERE gallery = ?1 AND subject IS NOT NULL ORDER BY subject",
                               {gallery.id}));
  std::vector<std::string> subjects;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return subjects;
    subjects.emplace_back(rows.text(0));
  }
}

Result<Bytes> Catalogue::read_original(const Gallery& gallery, int64_t reference_id) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement row, connection.prepare("SELECT r.original_digest, p.bytes FROM reference r "
                                              "LEFT JOIN payload p ON p.id = r.payload "
                                              "WHERE r.id = ?1 AND r.gallery = ?2 AND r.state = 1 "
                                              "AND r.bulk = 0",
                                              {reference_id, gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found)
    return make_error(ErrorCode::not_found, "there is no reference {} in gallery {}", reference_id,
                      gallery.name);
  if (!equals(row.bytes(0), sha256(row.bytes(1))))
    return damaged_reference(connection, gallery, reference_id);
  return Bytes(row.bytes(1).begin(), row.bytes(1).end());
}

Result<uint64_t> Catalogue::generation(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  return read_generation(state_->reading, gallery);
}

Result<uint64_t> Catalogue::for_each_reference(
    const Gallery& gallery, uint64_t since,
    const std::function<Status(const ReferenceView&)>& callback) {
  BAUTA_TRY(const uint64_t until, generation(gallery));
  std::pair<uint64_t, int64_t> last = {since, int64_t{kMaxPositions}};
  while (true) {
    // Short reads without the lock held in between: a slow callback delays neither enrolments nor
    // the emptying of the log.
    std::vector<Change> changes;
    {
      std::lock_guard lock(state_->reading_mutex);
      BAUTA_TRY(changes, read_changes(state_->reading, gallery, last, until, since > 0));
    }
    if (changes.empty()) return until;
    for (const Change& change : changes) BAUTA_CHECK(callback(view_of(change)));
    last = {changes.back().generation, int64_t{changes.back().reference.position}};
  }
}

Status Catalogue::for_each_live(const Gallery& gallery,
                                const std::function<Status(const ReferenceView&)>& callback) {
  BAUTA_CHECK(generation(gallery));
  int64_t last = -1;
  while (true) {
    std::vector<Change> references;
    {
      std::lock_guard lock(state_->reading_mutex);
      BAUTA_TRY(references, read_live(state_->reading, gallery, last));
    }
    if (references.empty()) return {};
    for (const Change& reference : references) BAUTA_CHECK(callback(view_of(reference)));
    last = references.back().reference.position;
  }
}

Result<Holder> Catalogue::find_holder(const Gallery& gallery, uint32_t position) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement row, connection.prepare("SELECT id, position, created_at_ms, "
                                              "original_digest, digest, subject, generation, bulk "
                                              "FROM reference WHERE gallery = ?1 AND position = ?2 "
                                              "AND state = 1",
                                              {gallery.id, int64_t{position}}));
  BAUTA_TRY(const bool found, row.step());
  if (!found)
    return make_error(ErrorCode::not_found, "position {} of gallery {} holds nothing", position,
                      gallery.name);
  Holder holder;
  holder.subject = row.text(5);
  holder.generation = static_cast<uint64_t>(row.integer(6));
  BAUTA_TRY(holder.reference, parse_reference(connection, gallery, holder.subject, row));
  holder.reference.bulk = row.integer(7) != 0;
  return holder;
}

Result<uint64_t> Catalogue::bytes_beside_originals() {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(const int64_t originals, state_->reading.query_integer(
                                         "SELECT coalesce(sum(original_bytes), 0) FROM reference"));
  BAUTA_TRY(const int64_t pages, state_->reading.query_integer("PRAGMA page_count"));
  return static_cast<uint64_t>(std::max<int64_t>(pages * kPageBytes - originals, 0));
}

Result<GalleryStats> Catalogue::stats(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(
      Statement row,
      connection.prepare("SELECT count(DISTINCT subject), count(subject), count(*), "
                         "coalesce(sum(original_bytes), 0), coalesce(sum(bulk = 1 AND state = 1), "
                         "0) FROM reference WHERE gallery = ?1",
                         {gallery.id}));
  BAUTA_TRY(const bool found, row.step());
  BAUTA_ASSERT(found);
  GalleryStats stats;
  stats.subjects = static_cast<uint64_t>(row.integer(0));
  stats.references = static_cast<uint64_t>(row.integer(1));
  stats.erased = static_cast<uint64_t>(row.integer(2)) - stats.references;
  stats.original_bytes = static_cast<uint64_t>(row.integer(3));
  stats.bulk = static_cast<uint64_t>(row.integer(4));
  BAUTA_TRY(const SegmentSet set, read_segments(connection, gallery));
  stats.segments = set.segments.size();
  for (const Segment& segment : set.segments) stats.segment_bytes += segment.size_bytes;
  BAUTA_TRY(const int64_t tail,
            connection.query_integer("SELECT count(*) FROM reference WHERE gallery = ?1 AND "
                                     "generation > ?2 AND (bulk = 0 OR state <> 1) AND state = 1",
                                     {gallery.id, static_cast<int64_t>(set.compacted)}));
  stats.tail = static_cast<uint64_t>(tail);
  return stats;
}

}  // namespace bauta::store
