// Image mode of the authentication server: the networks that galleries are bound to, and what is
// needed to run them on a tenant's encrypted images.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "circuits/feature_extractor.h"
#include "services/services.h"
#include "store/catalogue.h"

namespace bauta::auth {

// Requests with encrypted images that are at work at a time, unless told otherwise.
inline constexpr size_t kImageRequests = 4;

// Thread-safe.
class ImageMode {
 public:
  // networks/ and keys/ of `directory` are its own. What it is given must outlive it.
  ImageMode(std::filesystem::path directory, store::Catalogue& catalogue, KeyService& keys,
            ThreadPool& threads, size_t max_requests)
      : directory_(std::move(directory)),
        catalogue_(catalogue),
        keys_(keys),
        threads_(threads),
        max_requests_(max_requests) {}

  // Keeps a network for galleries whose contract names it. Errors: parse_network's and make_plan's.
  Status add_network(ByteView file);

  // One request's use of an extractor; counts as a request at work while it lives.
  class Use {
   public:
    const circuits::FeatureExtractor& extractor() const { return *extractor_; }

   private:
    friend class ImageMode;
    struct Leave {
      void operator()(std::atomic<size_t>* requests) const { --*requests; }
    };
    explicit Use(std::atomic<size_t>& requests) : place_(&requests) { ++requests; }

    std::unique_ptr<std::atomic<size_t>, Leave> place_;
    std::shared_ptr<const circuits::FeatureExtractor> extractor_;
  };

  // Ready for images of this edge, which is admitted. The first time for a key and a network it
  // gets that key's public keys from the key service and files them, which takes seconds; requests
  // for the same or another that is not ready wait for it. Errors: busy, when too many requests are
  // at work; not_found when the network is not here; FeatureExtractor::open's.
  Result<Use> open(const std::string& key_id, const v1::EmbeddingContract& contract,
                   const std::string& edge_id);

  // Drops the keys in memory, after waiting for those that are on their way.
  void forget();

 private:
  using Name = std::pair<std::string, std::string>;  // key id and model digest
  struct Loaded {
    std::shared_ptr<circuits::FeatureExtractor> extractor;
    std::set<std::string> edges;  // whose switching keys it has
    uint64_t last_use = 0;
  };

  std::shared_ptr<circuits::FeatureExtractor> find(const Name& name, const std::string& edge_id,
                                                   bool& knows_edge);
  void make_room();
  std::filesystem::path network_path(const Digest& digest) const;
  Result<std::shared_ptr<circuits::FeatureExtractor>> load(const std::string& key_id,
                                                           const v1::EmbeddingContract& contract);
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
  const size_t max_requests_;
  std::atomic<size_t> requests_ = 0;

  std::mutex preparing_;  // one key set at a time is made ready; taken before mutex_
  std::mutex mutex_;      // guards what follows; never held for long
  std::map<Name, Loaded> loaded_;
  uint64_t uses_ = 0;
};

}  // namespace bauta::auth
