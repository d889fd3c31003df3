#include "services/auth/image_mode.h"

#include <algorithm>

#include "base/file.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeysAtOnce = 8;
constexpr size_t kMaxLevels = 32;

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

Result<const circuits::FeatureExtractor*> ImageMode::open(const std::string& key_id,
                                                          const v1::EmbeddingContract& contract,
                                                          const std::string& edge_id) {
  auto found = loaded_.find({key_id, contract.model_digest()});
  if (found == loaded_.end()) {
    BAUTA_TRY(Loaded fresh, load(key_id, contract));
    found = loaded_.emplace(std::pair(key_id, contract.model_digest()), std::move(fresh)).first;
  }
  Loaded& loaded = found->second;
  if (!loaded.edges.contains(edge_id)) {
    BAUTA_CHECK(add_edge(key_id, edge_id, *loaded.extractor));
    loaded.edges.insert(edge_id);
  }
  return loaded.extractor.get();
}

Result<ImageMode::Loaded> ImageMode::load(const std::string& key_id,
                                          const v1::EmbeddingContract& contract) {
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
  if (!fs::exists(file, ignored)) BAUTA_CHECK(fetch_keys(key_id, plan, file));
  Loaded loaded;
  BAUTA_TRY(loaded.extractor, circuits::FeatureExtractor::open(plan, network, file, &threads_));
  return loaded;
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
