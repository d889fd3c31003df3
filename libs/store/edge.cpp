#include "store/state.h"

namespace bauta::store {
namespace {

Status check_edge_names(std::string_view key_id, std::string_view edge_id) {
  BAUTA_CHECK(check_name("key", key_id));
  return check_name("edge", edge_id);
}

Error unknown_edge(std::string_view key_id, std::string_view edge_id) {
  return make_error(ErrorCode::not_found,
                    "there is no edge {} for key {}; issue its key and add it first", edge_id,
                    key_id);
}

Error revoked_edge(std::string_view edge_id) {
  return make_error(ErrorCode::refused, "the edge {} was revoked; issue a key for a new edge id",
                    edge_id);
}

// The key of the row that remembers a revocation, for keys that the edge was never admitted under.
constexpr std::string_view kAnyKey = "";

// Whatever the key.
Result<bool> is_revoked(Connection& connection, std::string_view edge_id) {
  BAUTA_TRY(const int64_t revoked,
            connection.query_integer(
                "SELECT EXISTS (SELECT 1 FROM edge WHERE edge_id = ?1 AND state <> ?2)",
                {edge_id, static_cast<int64_t>(RowState::live)}));
  return revoked != 0;
}

constexpr auto kLive = static_cast<int64_t>(RowState::live);

}  // namespace

Status Catalogue::put_edge(std::string_view key_id, std::string_view edge_id,
                           ByteView switching_key) {
  BAUTA_CHECK(check_edge_names(key_id, edge_id));
  if (switching_key.empty() || switching_key.size() > kMaxSwitchingKeyBytes)
    return make_error(ErrorCode::invalid_argument,
                      "the switching key of edge {} has {} bytes; 1 to {} are allowed", edge_id,
                      switching_key.size(), kMaxSwitchingKeyBytes);
  const Edge edge{std::string(edge_id), std::string(key_id),
                  Bytes(switching_key.begin(), switching_key.end()), now_ms()};
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
  BAUTA_TRY(const bool revoked, is_revoked(connection, edge_id));
  if (revoked) return revoked_edge(edge_id);
  BAUTA_TRY(const int64_t existing,
            connection.query_integer("SELECT count(*) FROM edge WHERE key_id = ?1 AND edge_id = ?2",
                                     {key_id, edge_id}));
  if (existing != 0)
    return make_error(ErrorCode::already_exists,
                      "the edge {} has a switching key to key {} already", edge_id, key_id);
  BAUTA_TRY(const int64_t payload, insert_payload(connection, switching_key));
  BAUTA_CHECK(
      connection.run("INSERT INTO edge (key_id, edge_id, state, created_at_ms, digest, payload) "
                     "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                     {key_id, edge_id, kLive, edge.created_at_ms, edge_digest(edge), payload}));
  BAUTA_CHECK(append_audit_record(
      connection, {AuditEvent::edge_added, AuditOutcome::accepted, edge.key_id, edge.id}));
  return transaction.commit();
}

Result<Edge> Catalogue::find_edge(std::string_view key_id, std::string_view edge_id) {
  BAUTA_CHECK(check_edge_names(key_id, edge_id));
  std::lock_guard lock(state_->reading_mutex);
  Connection& connection = state_->reading;
  BAUTA_TRY(const bool revoked, is_revoked(connection, edge_id));
  if (revoked) return revoked_edge(edge_id);
  BAUTA_TRY(Statement row,
            connection.prepare("SELECT e.created_at_ms, e.digest, p.bytes FROM edge e "
                               "LEFT JOIN payload p ON p.id = e.payload "
                               "WHERE e.key_id = ?1 AND e.edge_id = ?2",
                               {key_id, edge_id}));
  BAUTA_TRY(const bool found, row.step());
  if (!found) return unknown_edge(key_id, edge_id);
  Edge edge{std::string(edge_id), std::string(key_id),
            Bytes(row.bytes(2).begin(), row.bytes(2).end()), row.integer(0)};
  if (!equals(row.bytes(1), edge_digest(edge)))
    return damaged(connection, fmt::format("edge {} of key {}", edge_id, key_id));
  return edge;
}

Result<std::vector<std::string>> Catalogue::list_edges(std::string_view key_id) {
  BAUTA_CHECK(check_name("key", key_id));
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement rows,
            state_->reading.prepare(
                "SELECT edge_id FROM edge WHERE key_id = ?1 AND state = ?2 ORDER BY edge_id",
                {key_id, kLive}));
  std::vector<std::string> edges;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return edges;
    edges.emplace_back(rows.text(0));
  }
}

Result<std::vector<std::string>> Catalogue::revoked_edges() {
  std::lock_guard lock(state_->reading_mutex);
  BAUTA_TRY(Statement rows,
            state_->reading.prepare("SELECT DISTINCT edge_id FROM edge WHERE state <> ?1 ORDER BY "
                                    "edge_id",
                                    {kLive}));
  std::vector<std::string> edges;
  while (true) {
    BAUTA_TRY(const bool row, rows.step());
    if (!row) return edges;
    edges.emplace_back(rows.text(0));
  }
}

Result<bool> Catalogue::revoke_edge(std::string_view edge_id) {
  BAUTA_CHECK(check_name("edge", edge_id));
  std::lock_guard lock(state_->mutex);
  Connection& connection = state_->connection;
  {
    BAUTA_TRY(Transaction transaction, Transaction::begin(connection));
    BAUTA_TRY(
        const int64_t known,
        connection.query_integer("SELECT count(*) FROM edge WHERE key_id = ?1 AND edge_id = ?2",
                                 {kAnyKey, edge_id}));
    if (known == 0) {
      BAUTA_CHECK(
          connection.run("UPDATE edge SET state = ?2, digest = NULL "
                         "WHERE edge_id = ?1 AND state = ?3",
                         {edge_id, static_cast<int64_t>(RowState::erasing), kLive}));
      BAUTA_CHECK(connection.run(
          "INSERT INTO edge (key_id, edge_id, state, created_at_ms) VALUES (?1, ?2, ?3, ?4)",
          {kAnyKey, edge_id, static_cast<int64_t>(RowState::erased), now_ms()}));
      BAUTA_CHECK(append_audit_record(connection, {AuditEvent::edge_revoked, AuditOutcome::accepted,
                                                   "", std::string(edge_id)}));
      BAUTA_CHECK(transaction.commit());
    }
  }
  return wipe_if_possible(connection);
}

}  // namespace bauta::store
