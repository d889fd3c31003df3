#include "apps/cli/deployment.h"

#include "base/file.h"
#include "keys/embedded_token.h"
#include "keys/key_store.h"
#include "services/contract.h"

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

// The one edge of a deployment in one process.
constexpr const char* kLocalEdge = "local";

constexpr size_t kMaxSettings_bytes = 64 << 10;

// data/edge/GALLERY.json: this machine's settings, not the server's truth; the contract is what
// binds a gallery.
fs::path settings_path(const fs::path& data, const std::string& gallery) {
  return data / "edge" / (gallery + ".json");
}

// A path means the same from every working directory; names stay names.
std::string lasting_name(const std::string& name_or_path) {
  std::error_code ignored;
  return fs::exists(name_or_path, ignored) ? fs::absolute(name_or_path).string() : name_or_path;
}

}  // namespace

Result<std::unique_ptr<key::KeyServer>> open_key_service(const CommonOptions& options) {
  std::error_code ignored;
  if (!fs::exists(options.token, ignored))
    return make_error(ErrorCode::not_found,
                      "there is no key token at {}; create it with 'bauta keys init'",
                      options.token.string());
  BAUTA_CHECK(create_directory(options.data, 0700));
  BAUTA_TRY(std::unique_ptr<keys::Token> token,
            keys::Token::open(keys::embedded_token_config(options.token)));
  BAUTA_TRY(std::unique_ptr<keys::KeyStore> store,
            keys::KeyStore::open(std::move(token), options.data / "key"));
  return key::KeyServer::open(std::move(store), options.data / "key");
}

Result<std::unique_ptr<Deployment>> Deployment::open(const CommonOptions& options) {
  std::unique_ptr<Deployment> deployment(new Deployment(options.data));
  BAUTA_TRY(deployment->key_, open_key_service(options));
  BAUTA_CHECK(create_directory(options.data / "edge", 0700));
  // Whoever runs a command holds the keys: there is nothing to withhold.
  BAUTA_CHECK(
      deployment->key_->grant_book().give_first({{kLocalEdge, "*", "*", grants::kAllRights}}));
  const size_t threads = options.threads == 0 ? available_processors() : options.threads;
  BAUTA_TRY(deployment->auth_,
            auth::AuthServer::open(options.data / "auth", *deployment->key_, threads));
  return deployment;
}

Result<std::unique_ptr<Deployment>> Deployment::initialise(const CommonOptions& options,
                                                           const std::string& tenant,
                                                           bool evaluation, keys::KeyUse use) {
  BAUTA_CHECK(keys::create_embedded_token(options.token));
  BAUTA_TRY(std::unique_ptr<Deployment> deployment, open(options));
  BAUTA_CHECK(deployment->key_->give_first_key(tenant, evaluation, use));
  return deployment;
}

Result<v1::Gallery> Deployment::create_gallery(const std::string& gallery,
                                               const EdgeSettings& settings,
                                               const std::string& tenant) {
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(settings.engine));
  BAUTA_CHECK(face::make_detector(settings.detector));  // now, rather than at the first image
  v1::GetGalleryRequest existing;
  existing.set_gallery(gallery);
  if (auth_->get_gallery(existing).ok())
    return make_error(ErrorCode::already_exists, "there is a gallery {} already", gallery);
  BAUTA_TRY(const keys::KeyRecord key, key_->store().active(tenant));
  const v1::EmbeddingContract contract = edge::to_proto(engine->contract());
  BAUTA_TRY(const v1::CreateGalleryRequest request,
            contract_request(gallery, to_hex(key.id), contract));
  BAUTA_CHECK(auth_->admit_edge(to_hex(key.id), kLocalEdge, engine->contract().dimension));
  // The settings first: a gallery that exists can be used.
  BAUTA_CHECK(store::check_name("gallery", gallery));  // it becomes a file name
  BAUTA_CHECK(write_settings(gallery, settings));
  return auth_->create_gallery(request);
}

Result<v1::CreateGalleryRequest> Deployment::contract_request(
    const std::string& gallery, const std::string& key_id, const v1::EmbeddingContract& contract) {
  BAUTA_TRY(const SecretBytes seed, key_->issue_edge_seed(key_id, kLocalEdge));
  BAUTA_TRY(const TicketSigner signer, TicketSigner::create(seed));
  return edge::contract_request(gallery, key_id, contract, kLocalEdge, signer);
}

Status Deployment::register_contract(const std::string& gallery, const std::string& key_id,
                                     const v1::EmbeddingContract& contract) {
  BAUTA_TRY(const v1::CreateGalleryRequest signed_contract,
            contract_request(gallery, key_id, contract));
  v1::RegisterContractRequest request;
  request.set_key_id(key_id);
  *request.mutable_contract() = contract;
  request.mutable_origin()->set_gallery(gallery);
  request.mutable_origin()->set_edge_id(kLocalEdge);
  *request.mutable_origin()->mutable_ticket() = signed_contract.ticket();
  BAUTA_CHECK(key_->register_contract(request));
  return {};
}

Result<v1::Gallery> Deployment::restore_gallery(const std::string& gallery,
                                                const std::filesystem::path& backup,
                                                const EdgeSettings& settings,
                                                const store::BackupProgress& progress) {
  BAUTA_CHECK(store::check_name("gallery", gallery));
  BAUTA_TRY(const std::unique_ptr<face::Engine> engine, face::make_engine(settings.engine));
  BAUTA_CHECK(face::make_detector(settings.detector));
  BAUTA_TRY(const store::NewGallery held, store::read_backup_gallery(backup));
  BAUTA_TRY(const v1::EmbeddingContract contract, parse_contract(held.contract));
  BAUTA_CHECK(check_same_contract(contract, edge::to_proto(engine->contract())));
  BAUTA_CHECK(auth_->admit_edge(held.key_id, kLocalEdge, held.dimension));
  BAUTA_CHECK(write_settings(gallery, settings));
  BAUTA_CHECK(register_contract(gallery, held.key_id, contract));
  return auth_->restore_gallery(gallery, backup, progress);
}

Status Deployment::write_settings(const std::string& gallery, const EdgeSettings& settings) const {
  const Json json = {{"engine", lasting_name(settings.engine)},
                     {"detector", lasting_name(settings.detector)}};
  return write_file_atomically(settings_path(data_, gallery), as_bytes(json.dump(2) + "\n"));
}

Result<EdgeSettings> Deployment::settings_of(const std::string& gallery) const {
  const fs::path path = settings_path(data_, gallery);
  BAUTA_TRY(const Bytes bytes, read_file(path, kMaxSettings_bytes));
  const Json json = Json::parse(as_text(bytes), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("engine") || !json["engine"].is_string() ||
      !json.contains("detector") || !json["detector"].is_string())
    return make_error(ErrorCode::corrupt,
                      "{} should be a JSON object with the texts \"engine\" and \"detector\"",
                      path.string());
  return EdgeSettings{json["engine"], json["detector"]};
}

// The edge and the authentication server get the network from the same file.
Status Deployment::send_images(edge::Edge& edge, const EdgeSettings& settings,
                               const SecretBytes& seed) {
  BAUTA_TRY(const fs::path path, network::patchnet_file(settings.engine));
  BAUTA_TRY(const Bytes file, read_file(path, network::kMaxFileBytes));
  BAUTA_TRY(const network::Network network, network::parse_network(file));
  BAUTA_CHECK(auth_->add_network(file));
  return edge.send_images(network, seed);
}

Result<std::unique_ptr<edge::Edge>> Deployment::open_edge(const std::string& gallery,
                                                          const std::string& mode) {
  v1::GetGalleryRequest request;
  request.set_gallery(gallery);
  BAUTA_TRY(const v1::Gallery row, auth_->get_gallery(request));
  // From before contracts were registered.
  if (const auto registered = key_->contracts().find(gallery);
      !registered.ok() && registered.error().code == ErrorCode::not_found)
    BAUTA_CHECK(register_contract(gallery, row.key_id(), row.contract()));
  BAUTA_TRY(const EdgeSettings settings, settings_of(gallery));
  BAUTA_TRY(std::unique_ptr<face::Engine> engine, face::make_engine(settings.engine));
  BAUTA_TRY(std::unique_ptr<face::Detector> detector, face::make_detector(settings.detector));
  BAUTA_TRY(const SecretBytes seed, key_->issue_edge_seed(row.key_id(), kLocalEdge));
  BAUTA_TRY(std::unique_ptr<edge::Edge> edge,
            edge::Edge::create(kLocalEdge, row.key_id(), seed, std::move(engine),
                               std::move(detector), *auth_));
  if (mode == kImageMode) BAUTA_CHECK(send_images(*edge, settings, seed));
  return edge;
}

}  // namespace bauta::cli
