// Restoring a gallery from a backup: it is filled under a name that nobody can ask for, and gets
// its own in the last transaction.
#include "store/state.h"

namespace bauta::store {
namespace {

// No valid name begins with it.
std::string hidden_name(std::string_view name) {
  return fmt::format(":{}", name);
}

Status insert_restored(Connection& connection, const Gallery& gallery, uint64_t generation,
                       const RestoredReference& restored, bool bulk) {
  BAUTA_CHECK(check_name("subject", restored.subject));
  if (restored.position >= kMaxPositions || restored.original.size() > kMaxOriginalBytes ||
      restored.original.empty() != bulk)
    return make_error(ErrorCode::corrupt, "the backup's reference at position {} cannot be right",
                      restored.position);
  const Reference reference{0, restored.position, restored.created_at_ms};
  const Digest digest = sha256(restored.original);
  Value payload = nullptr, original_digest = nullptr;
  if (!bulk) {
    BAUTA_TRY(const int64_t id, insert_payload(connection, restored.original));
    payload = id;
    original_digest = ByteView(digest);
  }
  return connection.run(
      "INSERT INTO reference (gallery, position, generation, enrolled, state, bulk, subject, "
      "created_at_ms, original_bytes, original_digest, digest, payload) "
      "VALUES (?1, ?2, ?3, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
      {gallery.id, int64_t{restored.position}, static_cast<int64_t>(generation), int64_t{bulk},
       restored.subject, restored.created_at_ms, static_cast<int64_t>(restored.original.size()),
       original_digest,
       reference_digest(gallery.id, restored.subject, reference, bulk ? ByteView() : digest),
       payload});
}

// Only the gallery that is being restored, so never one that is in use.
Result<uint64_t> next_generation(Connection& connection, const Gallery& gallery) {
  BAUTA_TRY(const int64_t hidden,
            connection.query_integer("SELECT EXISTS (SELECT 1 FROM gallery WHERE id = ?1 AND "
                                     "name GLOB ':*')",
                                     {gallery.id}));
  if (hidden == 0) return gallery_gone(gallery);
  return advance_generation(connection, gallery);
}

}  // namespace

Result<Gallery> Catalogue::begin_restoration(const NewGallery& wanted) {
  BAUTA_CHECK(check_new_gallery(wanted));
  if (const auto existing = find_gallery(wanted.name); existing.ok())
    return make_error(ErrorCode::already_exists,
                      "the gallery {} exists already; choose another name or delete it first",
                      wanted.name);
  std::lock_guard lock(state_->mutex);
  BAUTA_TRY(Transaction transaction, Transaction::begin(state_->connection));
  BAUTA_CHECK(retire_gallery(state_->connection, hidden_name(wanted.name)));
  NewGallery hidden = wanted;
  hidden.name = hidden_name(wanted.name);
  BAUTA_TRY(const Gallery gallery, insert_gallery(state_->connection, hidden));
  BAUTA_CHECK(transaction.commit());
  (void)wipe_if_possible(state_->connection);
  return gallery;
}

Status Catalogue::restore_references(const Gallery& gallery,
                                     std::span<const RestoredReference> references) {
  std::lock_guard lock(state_->mutex);
  BAUTA_TRY(Transaction transaction, Transaction::begin(state_->connection));
  BAUTA_TRY(const uint64_t generation, next_generation(state_->connection, gallery));
  for (const RestoredReference& reference : references)
    BAUTA_CHECK(
        insert_restored(state_->connection, gallery, generation, reference, /*bulk=*/false));
  return transaction.commit();
}

Status Catalogue::restore_block(const Gallery& gallery, const Segment& segment,
                                const std::array<uint8_t, kBlockPositions / 8>& held,
                                std::span<const RestoredReference> references) {
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const uint64_t generation, next_generation(connection, gallery));
  std::array<uint8_t, kBlockPositions / 8> erased = held;
  for (const RestoredReference& reference : references) {
    const uint32_t coefficient = reference.position % kBlockPositions;
    const auto bit = static_cast<uint8_t>(1 << coefficient % 8);
    if (reference.position / kBlockPositions != segment.block ||
        (erased[coefficient / 8] & bit) == 0)
      return make_error(ErrorCode::corrupt,
                        "the backup's segment of block {} does not hold the position {} of {}",
                        segment.block, reference.position, reference.subject);
    erased[coefficient / 8] = static_cast<uint8_t>(erased[coefficient / 8] & ~bit);
    BAUTA_CHECK(insert_restored(connection, gallery, generation, reference, /*bulk=*/true));
  }
  // What the segment holds and nobody is named for was erased.
  for (uint32_t j = 0; j < kBlockPositions; ++j)
    if ((erased[j / 8] >> (j % 8) & 1) != 0)
      BAUTA_CHECK(connection.run(
          "INSERT INTO reference (gallery, position, generation, enrolled, state, bulk, "
          "created_at_ms, original_bytes) VALUES (?1, ?2, ?3, ?3, 2, 1, ?4, 0)",
          {gallery.id, int64_t{segment.block * kBlockPositions + j},
           static_cast<int64_t>(generation), now_ms()}));
  BAUTA_CHECK(put_segment(connection, gallery, segment));
  return transaction.commit();
}

Result<Gallery> Catalogue::finish_restoration(const Gallery& hidden, const std::string& name) {
  BAUTA_CHECK(check_name("gallery", name));
  Gallery gallery = hidden;
  gallery.name = name;
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(check_gallery_is_new(connection, name));
  BAUTA_TRY(gallery.generation, next_generation(connection, hidden));
  BAUTA_CHECK(connection.run("UPDATE gallery SET name = ?2, digest = ?3 WHERE id = ?1",
                             {gallery.id, name, gallery_digest(gallery)}));
  BAUTA_CHECK(append_audit_record(connection,
                                  {AuditEvent::gallery_created, AuditOutcome::accepted, name, ""}));
  BAUTA_CHECK(transaction.commit());
  return gallery;
}

Result<bool> Catalogue::has_gallery(int64_t id) {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(const int64_t count,
            state_->reading.query_integer(
                "SELECT count(*) FROM gallery WHERE id = ?1 AND name IS NOT NULL", {id}));
  return count != 0;
}

}  // namespace bauta::store
