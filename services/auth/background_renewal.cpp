// Renewals by the server: at once for its operator, or on a thread of their own.
#include "services/auth/auth_server.h"

namespace bauta::auth {
namespace {

constexpr std::chrono::seconds kRenewAgainAfter(30);

}  // namespace

Result<RenewalCounts> AuthServer::renew(const std::string& name, const std::string& key_id,
                                        const RenewalOptions& options) {
  BAUTA_TRY(const Loaded gallery, find(name));
  store::Gallery row = gallery.row;
  RenewalCounts counts;
  if (row.key_id != key_id) {
    v1::GetRenewalKeyRequest request;
    request.set_gallery(name);
    request.set_from_key_id(row.key_id);
    request.set_to_key_id(key_id);
    request.set_dimension(row.dimension);
    // It stays in memory only: an attempt that goes on with this one asks for another.
    BAUTA_TRY(const v1::RenewalKey switching_key, keys_.get_renewal_key(request));
    BAUTA_TRY(const auto new_keys, open_keys(key_id, gallery.keys->parameters()));
    BAUTA_TRY(const match::Renewal renewal,
              match::Renewal::create(new_keys, as_bytes(switching_key.key())));
    BAUTA_TRY(const std::vector<std::string> edges, catalogue_.list_edges(row.key_id));
    for (const std::string& edge : edges) BAUTA_CHECK(admit_edge(key_id, edge, row.dimension));
    BAUTA_TRY(counts, auth::renew(catalogue_, directory_, row, key_id, *gallery.keys, *new_keys,
                                  renewal, threads_, options));
    row.key_id = key_id;
    // The next search finds the keys in memory, unless one was faster.
    Loaded renewed = gallery;
    renewed.row = row;
    renewed.keys = new_keys;
    renewed.references = std::make_shared<References>();
    std::lock_guard lock(mutex_);
    Loaded& known = loaded_[name];
    if (known.row.key_id != key_id) known = std::move(renewed);
  }
  BAUTA_CHECK(remove_former(catalogue_, directory_, row));
  return counts;
}

Status AuthServer::renew_due() {
  BAUTA_TRY(const std::vector<store::Gallery> rows, catalogue_.list_galleries());
  std::map<std::string, std::string> successors;  // of each key
  for (const store::Gallery& row : rows) {
    if (!successors.contains(row.key_id)) {
      v1::GetSuccessorRequest request;
      request.set_key_id(row.key_id);
      BAUTA_TRY(const v1::GetSuccessorReply reply, keys_.get_successor(request));
      successors[row.key_id] = reply.key_id();
    }
    if (const std::string& key_id = successors[row.key_id]; !key_id.empty())
      start_renewal(row.name, key_id);
  }
  return {};
}

Result<v1::Renewal> AuthServer::renew_gallery(const v1::RenewGalleryRequest& request) {
  BAUTA_TRY(const store::Gallery row, catalogue_.find_gallery(request.gallery()));
  if (!request.key_id().empty()) {
    BAUTA_CHECK(store::check_name("key", request.key_id()));
    start_renewal(row.name, request.key_id());
  }
  BAUTA_TRY(const store::GalleryStats stats, catalogue_.stats(row));
  BAUTA_TRY(const store::RenewalProgress progress, catalogue_.renewal_progress(row));
  v1::Renewal reply;
  reply.set_gallery(row.name);
  reply.set_key_id(row.key_id);
  reply.set_to_key_id(progress.key_id);
  reply.set_references(stats.references);
  reply.set_renewed(progress.renewed);
  std::lock_guard lock(renewing_mutex_);
  if (const auto known = renewing_.find(row.name); known != renewing_.end()) {
    Renewing& renewing = *known->second;
    reply.set_running(renewing.running);
    if (renewing.running) reply.set_to_key_id(renewing.key_id);
    std::lock_guard error_lock(renewing.mutex);
    reply.set_error(renewing.error);
  }
  return reply;
}

Status AuthServer::resume_renewals() {
  BAUTA_TRY(const std::vector<store::Gallery> galleries, catalogue_.list_galleries());
  for (const store::Gallery& gallery : galleries) {
    BAUTA_TRY(const store::RenewalProgress progress, catalogue_.renewal_progress(gallery));
    if (!progress.key_id.empty()) start_renewal(gallery.name, progress.key_id);
  }
  return {};
}

// One at a time for each gallery; nothing when it is at work.
void AuthServer::start_renewal(const std::string& gallery, const std::string& key_id) {
  std::lock_guard lock(renewing_mutex_);
  std::unique_ptr<Renewing>& renewing = renewing_[gallery];
  if (renewing != nullptr && renewing->running) return;
  renewing = std::make_unique<Renewing>();
  renewing->key_id = key_id;
  renewing->thread =
      std::jthread([this, gallery, raw = renewing.get()](const std::stop_token& stop) {
        renew_until_done(gallery, *raw, stop);
      });
}

// What may pass by itself is tried again.
void AuthServer::renew_until_done(const std::string& gallery, Renewing& renewing,
                                  const std::stop_token& stop) {
  std::mutex waiting;
  std::condition_variable_any stopping;
  while (true) {
    const Result<RenewalCounts> done = renew(gallery, renewing.key_id, {.stop = stop});
    if (done.ok() || stop.stop_requested()) break;
    fmt::print(stderr, "bauta: gallery {} is not renewed: {}\n", gallery, done.error().message);
    {
      std::lock_guard lock(renewing.mutex);
      renewing.error = done.error().message;
    }
    const ErrorCode code = done.error().code;
    if (code != ErrorCode::unavailable && code != ErrorCode::busy && code != ErrorCode::no_space) {
      renewing.running = false;
      return;
    }
    std::unique_lock lock(waiting);
    stopping.wait_for(lock, stop, kRenewAgainAfter, [] { return false; });
    if (stop.stop_requested()) break;
  }
  {
    std::lock_guard lock(renewing.mutex);
    renewing.error.clear();
  }
  renewing.running = false;
}

}  // namespace bauta::auth
