// Image mode of the authentication server: the networks that galleries are bound to, and what is
// needed to run them on a tenant's encrypted images.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "circuits/feature_extractor.h"
#include "services/services.h"
#include "store/catalogue.h"

namespace bauta::auth {

// Not thread-safe.
class ImageMode {
 public:
  // networks/ and keys/ of `directory` are its own. What it is given must outlive it.
  ImageMode(std::filesystem::path directory, store::Catalogue& catalogue, KeyService& keys,
            ThreadPool& threads)
      : directory_(std::move(directory)), catalogue_(catalogue), keys_(keys), threads_(threads) {}

  // Keeps a network for galleries whose contract names it. Errors: parse_network's and make_plan's.
  Status add_network(ByteView file);

  // Ready for images of this edge, which is admitted. The first time for a key and a network takes
  // its keys from the key service and seconds. Errors: not_found when the network is not here;
  // FeatureExtractor::open's.
  Result<const circuits::FeatureExtractor*> open(const std::string& key_id,
                                                 const v1::EmbeddingContract& contract,
                                                 const std::string& edge_id);

  // Drops the keys in memory.
  void forget() { loaded_.clear(); }

 private:
  struct Loaded {
    std::unique_ptr<circuits::FeatureExtractor> extractor;
    std::set<std::string> edges;  // whose switching keys it has
  };

  std::filesystem::path network_path(const Digest& digest) const;
  Result<Loaded> load(const std::string& key_id, const v1::EmbeddingContract& contract);
  Status fetch_keys(const std::string& key_id, const circuits::Plan& plan,
                    const std::filesystem::path& file);
  Status add_edge(const std::string& key_id, const std::string& edge_id,
                  circuits::FeatureExtractor& extractor);
  Result<v1::ImageKeys> get_keys(const std::string& key_id, const circuits::Plan& plan,
                                 std::span<const v1::ImageKey> wanted);

  std::filesystem::path directory_;
  store::Catalogue& catalogue_;
  KeyService& keys_;
  ThreadPool& threads_;
  std::map<std::pair<std::string, std::string>, Loaded> loaded_;  // by key id and model digest
};

}  // namespace bauta::auth
