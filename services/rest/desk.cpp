#include "services/rest/desk.h"

#include "base/file.h"
#include "network/model_folder.h"
#include "network/network.h"
#include "services/contract.h"

namespace bauta::rest {
namespace {

constexpr size_t kMaxGalleriesRemembered = 10'000;

}  // namespace

Result<std::unique_ptr<Desk>> Desk::open(const DeskOptions& options, AuthService& auth,
                                         EdgeKeyService& edge_keys) {
  BAUTA_CHECK(create_directory(options.directory, 0700));
  std::unique_ptr<Desk> desk(new Desk(options, auth, edge_keys));
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(options.engine));
  desk->contract_ = edge::to_proto(engine->contract());
  BAUTA_TRY(std::unique_ptr<face::Detector> detector, face::make_detector(options.detector));
  desk->idle_detectors_.push_back(std::move(detector));
  return desk;
}

// --- Turns

Error Desk::busy() {
  return make_error(ErrorCode::busy, "the edge has more requests than it can work on; try again");
}

Desk::Turn::Turn(Desk& of, Mode in) : desk(of), mode(in) {
  std::unique_lock lock(desk.mutex_);
  size_t& working = desk.working_[mode];
  admitted = working < desk.options_.workers || desk.waiting_ < desk.options_.max_waiting;
  if (!admitted) return;
  ++desk.waiting_;
  desk.freed_.wait(lock, [&] { return working < desk.options_.workers; });
  --desk.waiting_;
  ++working;
}

Desk::Turn::~Turn() {
  if (!admitted) return;
  {
    std::lock_guard lock(desk.mutex_);
    --desk.working_[mode];
  }
  desk.freed_.notify_all();
}

// --- Galleries

Result<v1::Gallery> Desk::create_gallery(const std::string& gallery) {
  BAUTA_TRY(const std::string key_id, active_key());
  BAUTA_TRY(const SecretBytes seed, seed_of(key_id));
  BAUTA_TRY(const TicketSigner signer, TicketSigner::create(seed));
  BAUTA_TRY(const v1::CreateGalleryRequest request,
            edge::contract_request(gallery, key_id, contract_, options_.edge_id, signer));
  return auth_.create_gallery(request);
}

Status Desk::delete_gallery(const std::string& gallery) {
  forget(gallery);
  v1::DeleteGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_CHECK(auth_.delete_gallery(request));
  return {};
}

Result<std::string> Desk::key_of(const std::string& gallery) {
  {
    std::lock_guard lock(mutex_);
    if (const auto known = key_ids_.find(gallery); known != key_ids_.end()) return known->second;
  }
  v1::GetGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_TRY(const v1::Gallery row, auth_.get_gallery(request));
  // A gallery from before contracts were registered has none at the key service. Without the right
  // to give it one there is no harm: requests then say what is missing.
  if (check_same_contract(row.contract(), contract_).ok()) (void)create_gallery(gallery);
  std::lock_guard lock(mutex_);
  if (key_ids_.size() >= kMaxGalleriesRemembered) key_ids_.clear();
  return key_ids_[gallery] = row.key_id();
}

void Desk::forget(const std::string& gallery) {
  std::lock_guard lock(mutex_);
  key_ids_.erase(gallery);
}

bool Desk::was_renewed(const std::string& gallery, const std::string& key_id, const Error& error) {
  forget(gallery);
  if (error.code != ErrorCode::refused && error.code != ErrorCode::mismatch &&
      error.code != ErrorCode::busy)
    return false;
  const Result<std::string> now = key_of(gallery);
  return now.ok() && *now != key_id;
}

Result<v1::Renewal> Desk::renew_gallery(const std::string& gallery) {
  v1::RenewGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_TRY(*request.mutable_key_id(), active_key());
  return auth_.renew_gallery(request);
}

Result<std::string> Desk::active_key() {
  v1::GetActiveKeyRequest request;
  request.set_tenant(options_.tenant);
  BAUTA_TRY(const v1::ActiveKey key, edge_keys_.get_active_key(request));
  return key.key_id();
}

Status Desk::check_servers() {
  BAUTA_CHECK(auth_.list_galleries({}));
  BAUTA_CHECK(active_key());
  return {};
}

// --- Edges

Result<std::unique_ptr<edge::Edge>> Desk::take_edge(const EdgeName& name) {
  {
    std::lock_guard lock(mutex_);
    auto& idle = idle_[name];
    if (!idle.empty()) {
      std::unique_ptr<edge::Edge> edge = std::move(idle.back());
      idle.pop_back();
      return edge;
    }
  }
  BAUTA_TRY(std::unique_ptr<face::Engine> engine, face::make_engine(options_.engine));
  BAUTA_TRY(std::unique_ptr<face::Detector> detector, face::make_detector(options_.detector));
  const auto& [key_id, mode] = name;
  BAUTA_TRY(const SecretBytes seed, seed_of(key_id));
  BAUTA_TRY(std::unique_ptr<edge::Edge> edge,
            edge::Edge::create(options_.edge_id, name.first, seed, std::move(engine),
                               std::move(detector), auth_));
  if (mode == Mode::image) BAUTA_CHECK(send_images(*edge, seed));
  return edge;
}

Status Desk::send_images(edge::Edge& edge, const SecretBytes& seed) const {
  BAUTA_TRY(const std::filesystem::path file, network::patchnet_file(options_.engine));
  BAUTA_TRY(const network::Network network, network::read_network(file));
  return edge.send_images(network, seed);
}

void Desk::give_back(const EdgeName& name, std::unique_ptr<edge::Edge> edge) {
  std::lock_guard lock(mutex_);
  idle_[name].push_back(std::move(edge));
}

Result<SecretBytes> Desk::seed_of(const std::string& key_id) {
  std::lock_guard lock(delivery_);
  BAUTA_TRY(SecretBytes seed, SecretBytes::create(secret::kSeedBytes));
  const std::filesystem::path file = options_.directory / (key_id + ".seed");
  Result<Bytes> kept = read_file(file, secret::kSeedBytes);
  if (!kept.ok() && kept.error().code != ErrorCode::not_found) return kept.error();
  if (!kept.ok()) {
    v1::GetEdgeKeyRequest request;
    request.set_key_id(key_id);
    request.set_edge_id(options_.edge_id);
    BAUTA_TRY(v1::EdgeKey delivered, edge_keys_.get_edge_key(request));
    std::string& bytes = *delivered.mutable_seed();
    kept = Bytes(bytes.begin(), bytes.end());
    wipe({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    BAUTA_CHECK(write_file_atomically(file, *kept, 0600));
  }
  if (kept->size() != seed.size())
    return make_error(ErrorCode::corrupt, "{} should hold {} bytes", file.string(), seed.size());
  std::copy(kept->begin(), kept->end(), seed.data());
  wipe(*kept);
  return seed;
}

Result<face::FaceOutcome> Desk::detect(ByteView image) {
  const Turn turn(*this, Mode::face_template);
  if (!turn.admitted) return busy();
  std::unique_ptr<face::Detector> detector;
  {
    std::lock_guard lock(mutex_);
    if (!idle_detectors_.empty()) {
      detector = std::move(idle_detectors_.back());
      idle_detectors_.pop_back();
    }
  }
  if (detector == nullptr) {
    BAUTA_TRY(detector, face::make_detector(options_.detector));
  }
  Result<face::FaceOutcome> outcome = face::find_face(image, *detector);
  std::lock_guard lock(mutex_);
  idle_detectors_.push_back(std::move(detector));
  return outcome;
}

}  // namespace bauta::rest
