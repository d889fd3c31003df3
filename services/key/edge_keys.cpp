#include "services/key/edge_keys.h"

#include "base/file.h"
#include "services/key/key_server.h"

namespace bauta::key {

namespace fs = std::filesystem;

namespace {

fs::path revocation(const fs::path& directory, const std::string& edge_id) {
  return directory / "revoked" / edge_id;
}

// It becomes a file name.
Status check_edge_name(const std::string& edge_id) {
  if (!edge_id.empty() && edge_id[0] != '.' && edge_id.find('/') == std::string::npos) return {};
  return make_error(ErrorCode::invalid_argument, "'{}' is not the name of an edge", edge_id);
}

}  // namespace

Result<std::unique_ptr<EdgeKeyServer>> EdgeKeyServer::open(keys::KeyStore& store,
                                                           const fs::path& directory) {
  BAUTA_CHECK(create_directory(directory, 0700));
  return std::unique_ptr<EdgeKeyServer>(new EdgeKeyServer(store, directory));
}

Result<v1::ActiveKey> EdgeKeyServer::get_active_key(const v1::GetActiveKeyRequest& request) {
  BAUTA_TRY(const keys::KeyRecord record, store_.active(request.tenant()));
  v1::ActiveKey reply;
  reply.set_key_id(to_hex(record.id));
  return reply;
}

Result<v1::EdgeKey> EdgeKeyServer::get_edge_key(const v1::GetEdgeKeyRequest& request) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(request.key_id()));
  BAUTA_CHECK(check_edge_name(request.edge_id()));
  std::lock_guard lock(mutex_);
  const fs::path record = directory_ / fmt::format("{}.{}", to_hex(id), request.edge_id());
  std::error_code unknown;
  if (fs::exists(revocation(directory_, request.edge_id()), unknown) || unknown)
    return make_error(ErrorCode::refused, "the edge {} was revoked; give the device a new edge id",
                      request.edge_id());
  if (fs::exists(record, unknown) || unknown)
    return make_error(
        ErrorCode::refused,
        "the key of edge {} has been delivered before; if the edge has lost it, allow "
        "another delivery with 'bauta keys redeliver --edge {}' on the key service",
        request.edge_id(), request.edge_id());
  BAUTA_TRY(const SecretBytes seed, store_.derive(id, kEdgeSecretPurpose, request.edge_id()));
  BAUTA_CHECK(write_file_atomically(record, {}, 0600));
  v1::EdgeKey reply;
  reply.set_seed(seed.data(), seed.size());
  return reply;
}

Status refuse_deliveries(const fs::path& directory, const std::string& edge_id) {
  BAUTA_CHECK(check_edge_name(edge_id));
  BAUTA_CHECK(create_directory(directory, 0700));
  BAUTA_CHECK(create_directory(directory / "revoked", 0755));
  return write_file_atomically(revocation(directory, edge_id), {}, 0600);
}

Result<size_t> forget_deliveries(const fs::path& directory, const std::string& edge_id) {
  std::error_code failed;
  std::vector<fs::path> records;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    if (entry.is_directory()) continue;
    const std::string name = entry.path().filename();
    if (name.substr(std::min(name.size(), name.find('.') + 1)) == edge_id)
      records.push_back(entry.path());
  }
  for (const fs::path& record : records)
    if (!failed) fs::remove(record, failed);
  if (failed)
    return make_error(ErrorCode::unavailable, "cannot change {}: {}", directory.string(),
                      failed.message());
  return records.size();
}

}  // namespace bauta::key
