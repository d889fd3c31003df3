// Which segments count, and the references that came with them.
#include "store/state.h"

namespace bauta::store {
namespace {

Result<std::vector<uint32_t>> read_numbers(Statement rows) {
  std::vector<uint32_t> numbers;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return numbers;
    numbers.push_back(static_cast<uint32_t>(rows.integer(0)));
  }
}

// Moves the gallery on to its next set of segments. Error: busy when it is no longer at `version`.
Status advance_version(Connection& connection, const Gallery& gallery, uint64_t version,
                       uint64_t compacted) {
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_CHECK(
      connection.run("UPDATE gallery SET segments_version = segments_version + 1, compacted = ?3 "
                     "WHERE id = ?1 AND segments_version = ?2",
                     {gallery.id, static_cast<int64_t>(version), static_cast<int64_t>(compacted)}));
  if (connection.changed_rows() == 0)
    return make_error(ErrorCode::busy, "another process has changed the segments of gallery {}",
                      gallery.name);
  return {};
}

Result<int64_t> read_next_block(Connection& connection, const Gallery& gallery) {
  return connection.query_integer(
      "SELECT coalesce(max(position) / ?2 + 1, 0) FROM reference WHERE gallery = ?1",
      {gallery.id, int64_t{kBlockPositions}});
}

}  // namespace

Status put_segment(Connection& connection, const Gallery& gallery, const Segment& segment) {
  return connection.run(
      "INSERT OR REPLACE INTO segment (gallery, block, bulk, file, bytes) "
      "VALUES (?1, ?2, ?3, ?4, ?5)",
      {gallery.id, int64_t{segment.block}, int64_t{segment.bulk}, segment.file,
       static_cast<int64_t>(segment.size_bytes)});
}

Result<SegmentSet> read_segments(Connection& connection, const Gallery& gallery) {
  // One statement, so that all of it is of one state.
  BAUTA_TRY(
      Statement rows,
      connection.prepare("SELECT g.segments_version, g.compacted, s.block, s.bulk, s.file, "
                         "s.bytes, g.key_id FROM gallery g LEFT JOIN segment s ON s.gallery = g.id "
                         "WHERE g.id = ?1 AND g.name IS NOT NULL ORDER BY s.block",
                         {gallery.id}));
  SegmentSet set;
  bool found = false;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) break;
    found = true;
    set.version = static_cast<uint64_t>(rows.integer(0));
    set.compacted = static_cast<uint64_t>(rows.integer(1));
    set.key_id = rows.text(6);
    if (rows.is_null(2)) break;
    const int64_t block = rows.integer(2);
    if (block < 0 || block >= int64_t{kMaxPositions / kBlockPositions})
      return damaged(connection, fmt::format("a segment of gallery {}", gallery.name));
    set.segments.push_back({static_cast<uint32_t>(block), rows.integer(3) != 0,
                            std::string(rows.text(4)), static_cast<uint64_t>(rows.integer(5))});
  }
  if (!found) return gallery_gone(gallery);
  return set;
}

Result<SegmentSet> Catalogue::segments(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  return read_segments(state_->reading, gallery);
}

Status Catalogue::replace_segments(const Gallery& gallery, uint64_t version, uint64_t compacted,
                                   std::span<const Segment> put,
                                   std::span<const uint32_t> dropped) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(advance_version(connection, gallery, version, compacted));
  for (const uint32_t block : dropped)
    BAUTA_CHECK(connection.run("DELETE FROM segment WHERE gallery = ?1 AND block = ?2",
                               {gallery.id, int64_t{block}}));
  for (const Segment& segment : put) BAUTA_CHECK(put_segment(connection, gallery, segment));
  return transaction.commit();
}

Status Catalogue::rewrite_segment(const Gallery& gallery, const SegmentSet& set,
                                  const Segment& segment, std::span<const uint32_t> removed) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(advance_version(connection, gallery, set.version, set.compacted));
  for (const uint32_t position : removed)
    BAUTA_CHECK(
        connection.run("DELETE FROM reference WHERE gallery = ?1 AND position = ?2 AND "
                       "state = 2 AND bulk = 1",
                       {gallery.id, int64_t{position}}));
  BAUTA_CHECK(put_segment(connection, gallery, segment));
  return transaction.commit();
}

Result<std::vector<uint32_t>> Catalogue::changed_blocks(const Gallery& gallery, uint64_t since) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(
      Statement rows,
      connection.prepare("SELECT DISTINCT position / ?3 FROM reference "
                         "WHERE gallery = ?1 AND generation > ?2 AND bulk = 0 ORDER BY 1",
                         {gallery.id, static_cast<int64_t>(since), int64_t{kBlockPositions}}));
  return read_numbers(std::move(rows));
}

Result<std::vector<Holder>> Catalogue::read_block(const Gallery& gallery, uint32_t block,
                                                  uint64_t until) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  const int64_t first = int64_t{block} * kBlockPositions;
  BAUTA_TRY(Statement rows,
            connection.prepare(
                "SELECT id, position, created_at_ms, generation, bulk "
                "FROM reference WHERE gallery = ?1 AND position >= ?2 "
                "AND position < ?3 AND state = 1 AND generation <= ?4 "
                "ORDER BY position",
                {gallery.id, first, first + kBlockPositions, static_cast<int64_t>(until)}));
  std::vector<Holder> holders;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return holders;
    Holder& holder = holders.emplace_back();
    holder.reference = {rows.integer(0), static_cast<uint32_t>(rows.integer(1)), rows.integer(2),
                        rows.integer(4) != 0};
    holder.generation = static_cast<uint64_t>(rows.integer(3));
  }
}

Status Catalogue::for_each_name(const Gallery& gallery, uint32_t block,
                                const std::function<void(uint32_t, std::string_view)>& callback) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  const int64_t first = int64_t{block} * kBlockPositions;
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT position, subject FROM reference WHERE gallery = ?1 "
                               "AND position >= ?2 AND position < ?3 AND state = 1",
                               {gallery.id, first, first + kBlockPositions}));
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return {};
    callback(static_cast<uint32_t>(rows.integer(0)), rows.text(1));
  }
}

Result<Bytes> Catalogue::read_retired(const Gallery& gallery, uint32_t position, uint64_t until) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT p.bytes FROM reference r JOIN payload p ON p.id = r.payload "
                               "WHERE r.gallery = ?1 AND r.position = ?2 AND r.state = 2 "
                               "AND r.enrolled <= ?3",
                               {gallery.id, int64_t{position}, static_cast<int64_t>(until)}));
  BAUTA_TRY(const bool found, row.step());
  if (!found)
    return make_error(ErrorCode::not_found, "the original of position {} in gallery {} is gone",
                      position, gallery.name);
  return Bytes(row.bytes(0).begin(), row.bytes(0).end());
}

Result<std::vector<uint32_t>> Catalogue::retired_in_bulk(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(Statement rows,
            connection.prepare("SELECT position FROM reference WHERE gallery = ?1 AND state = 2 "
                               "AND bulk = 1 ORDER BY position",
                               {gallery.id}));
  return read_numbers(std::move(rows));
}

Result<bool> Catalogue::erasures_wait(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(const int64_t waiting,
            state_->reading.query_integer("SELECT EXISTS (SELECT 1 FROM reference WHERE "
                                          "gallery = ?1 AND state = 2 AND bulk = 0) "
                                          "OR EXISTS (SELECT 1 FROM renewal w JOIN gallery g "
                                          "ON g.id = w.gallery WHERE w.gallery = ?1 AND "
                                          "g.renewing_to IS NULL)",
                                          {gallery.id}));
  return waiting != 0;
}

Result<uint32_t> Catalogue::end_of_positions(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(const int64_t end,
            state_->reading.query_integer("SELECT coalesce(max(position) + 1, 0) FROM reference "
                                          "WHERE gallery = ?1 AND bulk = 0",
                                          {gallery.id}));
  return static_cast<uint32_t>(std::clamp<int64_t>(end, 0, kMaxPositions));
}

Result<uint32_t> Catalogue::next_block(const Gallery& gallery) {
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_CHECK(read_generation(connection, gallery));
  BAUTA_TRY(const int64_t block, read_next_block(connection, gallery));
  if (block >= int64_t{kMaxPositions / kBlockPositions})
    return make_error(ErrorCode::no_space,
                      "the gallery {} has used all {} positions; begin another gallery",
                      gallery.name, kMaxPositions);
  return static_cast<uint32_t>(block);
}

Status Catalogue::enrol_block(const Gallery& gallery, const Segment& segment,
                              std::span<const std::string> subjects, IfEnrolled if_enrolled) {
  if (subjects.empty() || subjects.size() > kBlockPositions)
    return make_error(ErrorCode::invalid_argument, "a block has 1 to {} references, not {}",
                      kBlockPositions, subjects.size());
  for (const std::string& subject : subjects) BAUTA_CHECK(check_name("subject", subject));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(check_key(connection, gallery));
  BAUTA_TRY(const uint64_t generation, advance_generation(connection, gallery));
  BAUTA_TRY(const int64_t next, read_next_block(connection, gallery));
  if (next > int64_t{segment.block})
    return make_error(ErrorCode::busy, "block {} of gallery {} was taken in the meantime",
                      segment.block, gallery.name);
  for (const std::string& subject : subjects)
    BAUTA_CHECK(check_subject_may_grow(connection, gallery, subject, 1, if_enrolled));
  const int64_t now = now_ms();
  for (size_t i = 0; i < subjects.size(); ++i) {
    const Reference reference{0, static_cast<uint32_t>(segment.block * kBlockPositions + i), now};
    BAUTA_CHECK(connection.run(
        "INSERT INTO reference (gallery, position, generation, enrolled, state, bulk, subject, "
        "created_at_ms, original_bytes, digest) VALUES (?1, ?2, ?3, ?3, 1, 1, ?4, ?5, 0, ?6)",
        {gallery.id, int64_t{reference.position}, static_cast<int64_t>(generation), subjects[i],
         now, reference_digest(gallery.id, subjects[i], reference, {})}));
  }
  BAUTA_CHECK(put_segment(connection, gallery, segment));
  BAUTA_CHECK(connection.run(
      "UPDATE gallery SET segments_version = segments_version + 1 WHERE id = ?1", {gallery.id}));
  BAUTA_CHECK(append_audit_record(
      connection, {AuditEvent::enrolment, AuditOutcome::accepted, gallery.name, ""}));
  return transaction.commit();
}

}  // namespace bauta::store
