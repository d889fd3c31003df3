#include "services/auth/image_mode.h"

#include <algorithm>

#include "base/file.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeysAtOnce = 8;
// In memory, some 2 GB each; those that were not used for longest make room.
constexpr size_t kMaxKeySets = 4;

// Under which key the catalogue has an edge's key-switching key for images.
std::string image_key_name(const std::string& key_id, size_t levels) {
  return fmt::format("{}-image-{}", key_id, levels);
}

v1::ImageKey to_proto(const ckks::KeyUse& use) {
  v1::ImageKey key;
  key.set_limbs(static_cast<uint32_t>(use.limbs));
  if (use.element == ckks::KeyUse::kRelinearization)
    key.set_relinearization(true);
  else
    key.set_galois_element(use.element);
  return key;
}

}  // namespace

fs::path ImageMode::network_path(const Digest& digest) const {
  return directory_ / "networks" / (to_hex(digest) + ".bnet");
}

Status ImageMode::add_network(ByteView file) {
  BAUTA_TRY(const network::Network network, network::parse_network(file));
  BAUTA_CHECK(circuits::make_plan(network));
  BAUTA_CHECK(create_directory(directory_ / "networks", 0700));
  return write_file_atomically(network_path(network.digest), file);
}

// --- Those at hand

Result<ImageMode::Use> ImageMode::open(const std::string& key_id,
                                       const v1::EmbeddingContract& contract,
                                       const std::string& edge_id) {
  Use use(requests_);
  if (requests_ > max_requests_)
    return make_error(ErrorCode::busy, "{} encrypted images are at work already; try again",
                      max_requests_);
  const Name name(key_id, contract.model_digest());
  bool knows_edge = false;
  use.extractor_ = find(name, edge_id, knows_edge);
  if (knows_edge) return use;

  const std::lock_guard preparing(preparing_);
  std::shared_ptr<circuits::FeatureExtractor> extractor = find(name, edge_id, knows_edge);
  if (extractor == nullptr) {
    make_room();
    BAUTA_TRY(extractor, load(key_id, contract));
  }
  if (!knows_edge) BAUTA_CHECK(add_edge(key_id, edge_id, *extractor));
  use.extractor_ = extractor;
  const std::lock_guard lock(mutex_);
  Loaded& loaded = loaded_[name];
  loaded.extractor = std::move(extractor);
  loaded.edges.insert(edge_id);
  loaded.last_use = ++uses_;
  return use;
}

std::shared_ptr<circuits::FeatureExtractor> ImageMode::find(const Name& name,
                                                            const std::string& edge_id,
                                                            bool& knows_edge) {
  const std::lock_guard lock(mutex_);
  const auto found = loaded_.find(name);
  if (found == loaded_.end()) return nullptr;
  found->second.last_use = ++uses_;
  knows_edge = found->second.edges.contains(edge_id);
  return found->second.extractor;
}

void ImageMode::make_room() {
  const std::lock_guard lock(mutex_);
  while (loaded_.size() >= kMaxKeySets)
    loaded_.erase(std::ranges::min_element(
        loaded_, {}, [](const auto& entry) { return entry.second.last_use; }));
}

void ImageMode::forget() {
  const std::lock_guard preparing(preparing_);
  const std::lock_guard lock(mutex_);
  loaded_.clear();
}

// --- From the key service and from files

Result<std::shared_ptr<circuits::FeatureExtractor>> ImageMode::load(
    const std::string& key_id, const v1::EmbeddingContract& contract) {
  Digest digest{};
  std::error_code ignored;
  if (contract.model_digest().size() == digest.size())
    std::ranges::copy(as_bytes(contract.model_digest()), digest.begin());
  if (!fs::exists(network_path(digest), ignored))
    return make_error(ErrorCode::not_found,
                      "the network of engine {} is not on the authentication server, so it takes "
                      "no encrypted images; send templates, or install the network there",
                      contract.engine());
  BAUTA_TRY(const network::Network network, network::read_network(network_path(digest)));
  BAUTA_TRY(const circuits::Plan plan, circuits::make_plan(network));
  const fs::path file = directory_ / "keys" /
                        fmt::format("{}-{}.images", key_id, to_hex(ByteView(plan.digest).first(8)));
  const auto open_file = [&] {
    return circuits::FeatureExtractor::open(plan, network, file, &threads_);
  };
  Result<std::unique_ptr<circuits::FeatureExtractor>> extractor = open_file();
  // Missing, or damaged on the disk: there are more where they came from.
  if (!extractor.ok() && (extractor.error().code == ErrorCode::not_found ||
                          extractor.error().code == ErrorCode::corrupt)) {
    BAUTA_CHECK(fetch_keys(key_id, plan, file));
    extractor = open_file();
  }
  if (!extractor.ok()) return extractor.error();
  return std::shared_ptr<circuits::FeatureExtractor>(std::move(*extractor));
}

Status ImageMode::fetch_keys(const std::string& key_id, const circuits::Plan& plan,
                             const fs::path& file) {
  std::vector<v1::ImageKey> wanted(1);
  wanted.front().set_ring_switch(true);
  for (const ckks::KeyUse& use : plan.keys) wanted.push_back(to_proto(use));
  Bytes bytes;
  bytes.reserve(plan.key_wire_bytes() + (size_t{1} << 24));
  for (size_t begin = 0; begin < wanted.size(); begin += kKeysAtOnce) {
    const size_t count = std::min(kKeysAtOnce, wanted.size() - begin);
    BAUTA_TRY(const v1::ImageKeys reply,
              get_keys(key_id, plan, std::span(wanted).subspan(begin, count)));
    for (const std::string& key : reply.keys()) {
      const ByteView view = as_bytes(key);
      bytes.insert(bytes.end(), view.begin(), view.end());
    }
  }
  return write_file_atomically(file, bytes);
}

Result<v1::ImageKeys> ImageMode::get_keys(const std::string& key_id, const circuits::Plan& plan,
                                          std::span<const v1::ImageKey> wanted) {
  v1::GetImageKeysRequest request;
  request.set_key_id(key_id);
  request.set_dimension(static_cast<uint32_t>(plan.gallery.dimension()));
  request.set_levels(static_cast<uint32_t>(plan.ring.levels()));
  for (const v1::ImageKey& key : wanted) *request.add_keys() = key;
  BAUTA_TRY(v1::ImageKeys reply, keys_.get_image_keys(request));
  if (static_cast<size_t>(reply.keys_size()) != wanted.size())
    return make_error(ErrorCode::internal, "the key service sent {} image keys where {} were asked",
                      reply.keys_size(), wanted.size());
  return reply;
}

Status ImageMode::add_edge(const std::string& key_id, const std::string& edge_id,
                           circuits::FeatureExtractor& extractor) {
  const circuits::Plan& plan = extractor.plan();
  const std::string name = image_key_name(key_id, plan.ring.levels());
  Result<store::Edge> known = catalogue_.find_edge(name, edge_id);
  if (known.ok()) return extractor.add_edge(known->switching_key);
  if (known.error().code != ErrorCode::not_found) return known.error();
  v1::ImageKey wanted;
  wanted.set_edge_id(edge_id);
  BAUTA_TRY(const v1::ImageKeys reply, get_keys(key_id, plan, {&wanted, 1}));
  BAUTA_CHECK(extractor.add_edge(as_bytes(reply.keys(0))));
  const Status added = catalogue_.put_edge(name, edge_id, as_bytes(reply.keys(0)));
  // Another process may have admitted it in the meantime.
  if (!added.ok() && added.error().code != ErrorCode::already_exists) return added;
  return {};
}

}  // namespace bauta::auth
