#include "store/catalogue.h"

#include <unistd.h>

#include "store/state.h"

namespace bauta::store {
namespace {

constexpr const char* kGalleryColumns =
    "SELECT id, name, key_id, contract, dimension, created_at_ms, digest, generation, "
    "segments_version, compacted FROM gallery ";

Result<Gallery> parse_gallery(const Connection& connection, const Statement& row) {
  Gallery gallery;
  gallery.id = row.integer(0);
  gallery.name = row.text(1);
  gallery.key_id = row.text(2);
  gallery.contract = row.text(3);
  gallery.contract_digest = sha256(as_bytes(gallery.contract));
  gallery.dimension = static_cast<uint32_t>(row.integer(4));
  gallery.created_at_ms = row.integer(5);
  gallery.generation = static_cast<uint64_t>(row.integer(7));
  gallery.segments_version = static_cast<uint64_t>(row.integer(8));
  gallery.compacted = static_cast<uint64_t>(row.integer(9));
  if (!std::in_range<uint32_t>(row.integer(4)) || !equals(row.bytes(6), gallery_digest(gallery)))
    return damaged(connection, fmt::format("gallery number {}", gallery.id));
  return gallery;
}

Result<std::vector<std::pair<std::string, std::string>>> list_live_edges(Connection& connection) {
  BAUTA_TRY(Statement rows, connection.prepare("SELECT key_id, edge_id FROM edge WHERE state = ?1",
                                               {static_cast<int64_t>(RowState::live)}));
  std::vector<std::pair<std::string, std::string>> edges;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return edges;
    edges.emplace_back(rows.text(0), rows.text(1));
  }
}

Status check_structure(Connection& connection) {
  for (const char* pragma : {"PRAGMA integrity_check(1)", "PRAGMA foreign_key_check"}) {
    BAUTA_TRY(Statement finding, connection.prepare(pragma));
    BAUTA_TRY(const bool row, finding.step());
    if (row && finding.text(0) != "ok")
      return make_error(ErrorCode::corrupt,
                        "the catalogue {} is damaged: {}; stop the processes that use it and "
                        "restore it from a backup",
                        connection.path().string(), finding.text(0));
  }
  return {};
}

}  // namespace

Status check_new_gallery(const NewGallery& gallery) {
  BAUTA_CHECK(check_name("gallery", gallery.name));
  BAUTA_CHECK(check_name("key", gallery.key_id));
  if (gallery.contract.empty() || gallery.contract.size() > kMaxContractBytes)
    return make_error(ErrorCode::invalid_argument,
                      "the embedding contract of gallery {} has {} bytes; 1 to {} are allowed",
                      gallery.name, gallery.contract.size(), kMaxContractBytes);
  if (gallery.dimension < 1 || gallery.dimension > kMaxDimension)
    return make_error(ErrorCode::invalid_argument,
                      "gallery {} cannot have dimension {}; 1 to {} are allowed", gallery.name,
                      gallery.dimension, kMaxDimension);
  return {};
}

Catalogue::State::~State() {
  if (log_file >= 0) close(log_file);
}

Catalogue::Catalogue(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalogue::Catalogue(Catalogue&&) noexcept = default;
Catalogue& Catalogue::operator=(Catalogue&&) noexcept = default;
Catalogue::~Catalogue() = default;

Result<Catalogue> Catalogue::open(const std::filesystem::path& path, OpenOptions options) {
  std::error_code reason;
  if (!std::filesystem::exists(path, reason)) BAUTA_CHECK(create_catalogue(path, schema_steps()));
  BAUTA_TRY(Connection connection, open_catalogue(path, options.busy_timeout_ms, schema_steps()));
  BAUTA_TRY(Connection auditing, Connection::open(path, options.busy_timeout_ms));
  BAUTA_CHECK(set_up_without_sync(auditing));
  BAUTA_TRY(Connection reading, Connection::open(path, options.busy_timeout_ms));
  BAUTA_CHECK(set_up_for_reading(reading));
  Catalogue catalogue(
      std::make_unique<State>(std::move(connection), std::move(auditing), std::move(reading)));
  // What an interrupted erasure left; if it cannot be done now, the catalogue is usable all the
  // same.
  (void)catalogue.finish_erasures();
  return catalogue;
}

Result<Gallery> insert_gallery(Connection& connection, const NewGallery& wanted) {
  Gallery gallery;
  gallery.name = wanted.name;
  gallery.key_id = wanted.key_id;
  gallery.contract = wanted.contract;
  gallery.contract_digest = sha256(as_bytes(wanted.contract));
  gallery.dimension = wanted.dimension;
  gallery.created_at_ms = now_ms();
  BAUTA_TRY(gallery.id,
            connection.query_integer(
                "INSERT INTO gallery (name, key_id, contract, dimension, created_at_ms, digest, "
                "generation) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) RETURNING id",
                {gallery.name, gallery.key_id, gallery.contract, int64_t{gallery.dimension},
                 gallery.created_at_ms, gallery_digest(gallery)}));
  return gallery;
}

Status check_gallery_is_new(Connection& connection, std::string_view name) {
  BAUTA_TRY(const int64_t existing,
            connection.query_integer("SELECT count(*) FROM gallery WHERE name = ?1", {name}));
  if (existing == 0) return {};
  return make_error(ErrorCode::already_exists,
                    "the gallery {} exists already; choose another name or delete it first", name);
}

Result<Gallery> Catalogue::create_gallery(const NewGallery& wanted) {
  BAUTA_CHECK(check_new_gallery(wanted));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_CHECK(check_gallery_is_new(connection, wanted.name));
  BAUTA_TRY(const Gallery gallery, insert_gallery(connection, wanted));
  BAUTA_CHECK(append_audit_record(
      connection, {AuditEvent::gallery_created, AuditOutcome::accepted, gallery.name, ""}));
  BAUTA_CHECK(transaction.commit());
  return gallery;
}

Result<Gallery> Catalogue::find_gallery(std::string_view name) {
  BAUTA_CHECK(check_name("gallery", name));
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement row,
            state_->reading.prepare(std::string(kGalleryColumns) + "WHERE name = ?1", {name}));
  BAUTA_TRY(const bool found, row.step());
  if (!found)
    return make_error(ErrorCode::not_found, "there is no gallery {}; create it first", name);
  return parse_gallery(state_->reading, row);
}

Result<std::vector<Gallery>> Catalogue::list_galleries() {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement rows, state_->reading.prepare(std::string(kGalleryColumns) +
                                                    "WHERE name NOT GLOB ':*' ORDER BY name"));
  std::vector<Gallery> galleries;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return galleries;
    BAUTA_TRY(Gallery gallery, parse_gallery(state_->reading, rows));
    galleries.push_back(std::move(gallery));
  }
}

Status Catalogue::check() {
  std::vector<std::pair<std::string, std::string>> edges;
  {
    std::lock_guard lock(state_->mutex);
    BAUTA_CHECK(check_structure(state_->connection));
    BAUTA_TRY(edges, list_live_edges(state_->connection));
  }
  for (const auto& [key_id, edge_id] : edges) BAUTA_CHECK(find_edge(key_id, edge_id));
  BAUTA_TRY(const auto galleries, list_galleries());
  for (const Gallery& gallery : galleries)
    BAUTA_CHECK(for_each_live(gallery, [](const ReferenceView&) { return Status{}; }));
  BAUTA_CHECK(verify_audit_chain());
  return {};
}

}  // namespace bauta::store
