#include "store/state.h"

namespace bauta::store {

Digest gallery_digest(const Gallery& gallery) {
  ByteWriter columns;
  columns.text("gallery");
  columns.text(gallery.name);
  columns.text(gallery.key_id);
  columns.text(gallery.contract);
  columns.u32(gallery.dimension);
  columns.u64(static_cast<uint64_t>(gallery.created_at_ms));
  return sha256(columns.bytes());
}

Digest reference_digest(int64_t gallery_id, std::string_view subject, const Reference& reference,
                        ByteView original_digest) {
  ByteWriter columns;
  columns.text("reference");
  columns.u64(static_cast<uint64_t>(gallery_id));
  columns.text(subject);
  columns.u32(reference.position);
  columns.u64(static_cast<uint64_t>(reference.created_at_ms));
  columns.text(as_text(original_digest));
  return sha256(columns.bytes());
}

Digest edge_digest(const Edge& edge) {
  ByteWriter columns;
  columns.text("edge");
  columns.text(edge.key_id);
  columns.text(edge.id);
  columns.u64(static_cast<uint64_t>(edge.created_at_ms));
  columns.text(as_text(sha256(edge.switching_key)));
  return sha256(columns.bytes());
}

Error damaged(const Connection& connection, std::string_view what) {
  return make_error(ErrorCode::corrupt,
                    "{} in the catalogue {} is damaged: it does not match its digest; restore the "
                    "catalogue from a backup, or remove what is damaged and enrol it again",
                    what, connection.path().string());
}

Error gallery_gone(const Gallery& gallery) {
  return make_error(ErrorCode::not_found, "the gallery {} was deleted", gallery.name);
}

Error renewed_meanwhile(const Gallery& gallery) {
  return make_error(ErrorCode::mismatch,
                    "the gallery {} was renewed to another key in the meantime; encrypt for that "
                    "key and try again",
                    gallery.name);
}

Error not_enrolled(const Gallery& gallery, std::string_view subject) {
  return make_error(ErrorCode::not_found, "the subject {} is not enrolled in gallery {}", subject,
                    gallery.name);
}

Result<int64_t> insert_payload(Connection& connection, ByteView bytes) {
  return connection.query_integer(
      "INSERT INTO payload (padding, bytes) VALUES (zeroblob(?1), ?2) RETURNING id",
      {kPaddingBytes, bytes});
}

}  // namespace bauta::store
