#include "match/gallery.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "match/search.h"

namespace bauta::match {
namespace {

// 8 MiB of them.
constexpr size_t kAddedAtOnce = 128;

class Stopwatch {
 public:
  // Since the construction or the lap before.
  double lap_us() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::micro>(now - std::exchange(last_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

template <typename Probe>
using ImagesOf =
    std::conditional_t<std::is_same_v<Probe, SwitchedProbe>, ProbeImages, VisibleProbeImages>;

// The probe times one block. Errors: those of make_probe_images.
template <typename Probe>
Result<typename ImagesOf<Probe>::Product> multiply(const EvaluationKeys& keys, const Probe& probe,
                                                   const Block& block, ThreadPool* pool) {
  using Images = ImagesOf<Probe>;
  const Parameters& parameters = keys.parameters();
  BAUTA_TRY(const Images images, make_probe_images(keys, probe, block.folding(), pool));
  const Images* const images_pointer = &images;
  const TiledCiphertexts* const block_pointer = &block.images();
  auto products = scan(std::span(&images_pointer, 1), std::span(&block_pointer, 1),
                       parameters.ring().ciphertext_moduli(), parameters.reference_scale(), pool);
  return std::move(products.front());
}

}  // namespace

Gallery::Gallery(std::shared_ptr<const EvaluationKeys> keys, ReadStoredReference read_stored,
                 ThreadPool* pool)
    : keys_(std::move(keys)), read_stored_(std::move(read_stored)), pool_(pool) {}

uint64_t Gallery::first_free_slot() const {
  uint64_t slot = 0;
  while (contains(slot)) ++slot;
  return slot;
}

bool Gallery::contains(uint64_t slot) const {
  return slot / kDegree < blocks_.size() && blocks_[slot / kDegree].contains(slot % kDegree);
}

size_t Gallery::references() const {
  size_t count = 0;
  for (const Block& block : blocks_) count += block.references();
  return count;
}

size_t Gallery::memory_bytes() const {
  size_t bytes = 0;
  for (const Block& block : blocks_) bytes += block.memory_bytes();
  return bytes;
}

void Gallery::reserve(uint64_t slots) {
  const Parameters& parameters = keys_->parameters();
  while (blocks_.size() * kDegree < slots) {
    const uint64_t missing = slots - blocks_.size() * kDegree;
    const size_t last = std::min<uint64_t>(missing, kDegree) - 1;
    blocks_.emplace_back(parameters, folding_for(parameters, last));
  }
}

Status Gallery::insert(uint64_t slot, const StoredReference& reference) {
  BAUTA_CHECK(ckks::check_key_id("reference", reference.ciphertext.key_id, keys_->key_id()));
  if (slot >= kMaxSlots)
    return make_error(ErrorCode::no_space, "slot {} is beyond the {} that a gallery can have", slot,
                      kMaxSlots);
  if (contains(slot))
    return make_error(ErrorCode::already_exists, "slot {} of the gallery is taken", slot);
  if (const size_t index = slot / kDegree; index < blocks_.size() && blocks_[index].made_whole())
    return make_error(ErrorCode::refused,
                      "slot {} lies in block {}, which was encrypted whole and takes no single "
                      "references",
                      slot, index);
  BAUTA_CHECK(make_room(slot));
  blocks_[slot / kDegree].add(slot % kDegree, reference.ciphertext);
  return {};
}

// Widens or opens the block of a slot, or adds it.
Status Gallery::make_room(uint64_t slot) {
  const Parameters& parameters = keys_->parameters();
  const size_t index = slot / kDegree;
  const size_t folding = folding_for(parameters, slot % kDegree);
  while (blocks_.size() <= index) blocks_.emplace_back(parameters, kMinFolding);
  Block& block = blocks_[index];
  if (folding <= block.folding() && !block.retired(slot % kDegree) &&
      (block.open() || block.reopen()))
    return {};
  return rebuild(index, std::max(folding, block.folding()));
}

Status Gallery::rebuild(size_t index, size_t folding) {
  Block fresh(keys_->parameters(), folding);
  std::vector<StoredReference> originals;
  std::vector<Block::Placed> placed;
  originals.reserve(kAddedAtOnce);
  const auto add = [&] {
    fresh.add(placed, pool_);
    placed.clear();
    originals.clear();
  };
  for (size_t j = 0; j < kDegree; ++j) {
    if (!blocks_[index].contains(j)) continue;
    Result<StoredReference> original = read_stored_(index * kDegree + j);
    if (!original.ok() && original.error().code == ErrorCode::not_found) continue;
    if (!original.ok()) return original.error();
    BAUTA_CHECK(ckks::check_key_id("reference", original->ciphertext.key_id, keys_->key_id()));
    originals.push_back(std::move(*original));
    placed.push_back({j, &originals.back().ciphertext});
    if (placed.size() == kAddedAtOnce) add();
  }
  add();
  blocks_[index] = std::move(fresh);
  return {};
}

Status Gallery::erase(uint64_t slot) {
  if (!contains(slot))
    return make_error(ErrorCode::not_found, "slot {} of the gallery holds nothing", slot);
  Block& block = blocks_[slot / kDegree];
  if (block.made_whole()) {
    block.retire(slot % kDegree);
    return {};
  }
  if (!block.open() && !block.reopen()) BAUTA_CHECK(rebuild(slot / kDegree, block.folding()));
  BAUTA_TRY(const StoredReference original, read_stored_(slot));
  BAUTA_CHECK(ckks::check_key_id("reference", original.ciphertext.key_id, keys_->key_id()));
  block.subtract(slot % kDegree, original.ciphertext);
  return {};
}

void Gallery::retire(uint64_t slot) {
  if (contains(slot)) blocks_[slot / kDegree].retire(slot % kDegree);
}

void Gallery::place(size_t index, Block block) {
  BAUTA_ASSERT(index < kMaxBlocks);
  while (blocks_.size() <= index) blocks_.emplace_back(keys_->parameters(), kMinFolding);
  BAUTA_ASSERT(blocks_[index].references() == 0);
  blocks_[index] = std::move(block);
}

Status Gallery::append_block(TiledCiphertexts images, const std::bitset<kDegree>& live) {
  if (blocks_.size() >= kMaxBlocks)
    return make_error(ErrorCode::no_space, "the gallery has {} blocks, the most there can be",
                      kMaxBlocks);
  blocks_.emplace_back(keys_->parameters(), std::move(images), live);
  return {};
}

Status Gallery::prepare() {
  for (Block& block : blocks_) {
    if (block.references() == 0) continue;
    BAUTA_CHECK(block.prepare(*keys_, pool_));
    // A full block changes only when somebody is erased; until then its sums are not worth their
    // memory.
    if (block.open() && block.references() == kDegree) block.seal();
  }
  return {};
}

template <typename Probe>
Result<std::vector<Search>> Gallery::search_all(std::span<const Probe> probes,
                                                SearchTimings* timings,
                                                std::span<const ring::PublicSeed> seeds) {
  using Images = ImagesOf<Probe>;
  BAUTA_ASSERT(seeds.empty() || seeds.size() == probes.size());
  SearchTimings spent;
  if (references() == 0)
    return make_error(ErrorCode::not_found, "the gallery is empty; enrol somebody first");
  BAUTA_CHECK(prepare());
  const Parameters& parameters = keys_->parameters();
  const ring::Basis basis = parameters.ring().ciphertext_moduli();

  // Blocks of one folding share the images of the probes and are scanned together.
  std::map<size_t, std::vector<size_t>> blocks_of_folding;
  for (size_t i = 0; i < blocks_.size(); ++i)
    if (blocks_[i].references() > 0) blocks_of_folding[blocks_[i].folding()].push_back(i);
  std::vector<std::vector<typename Images::Product>> products(probes.size());
  std::vector<size_t> foldings;
  std::vector<ScannedBlock> scanned;
  for (const auto& [folding, indices] : blocks_of_folding) {
    Stopwatch stopwatch;
    std::vector<Images> images;
    std::vector<const Images*> image_pointers;
    std::vector<const TiledCiphertexts*> block_pointers;
    for (const Probe& probe : probes) {
      BAUTA_TRY(Images made, make_probe_images(*keys_, probe, folding, pool_));
      images.push_back(std::move(made));
    }
    spent.expand += stopwatch.lap_us();
    for (const Images& image : images) image_pointers.push_back(&image);
    for (const size_t index : indices) {
      block_pointers.push_back(&blocks_[index].images());
      scanned.push_back({index * kDegree, blocks_[index].live_positions()});
      foldings.push_back(folding);
    }
    std::vector<typename Images::Product> sums =
        scan<Images>(image_pointers, block_pointers, basis, parameters.reference_scale(), pool_);
    spent.scan += stopwatch.lap_us();
    for (size_t i = 0; i < sums.size(); ++i)
      products[i / indices.size()].push_back(std::move(sums[i]));
  }
  Stopwatch stopwatch;
  std::vector<Search> searches;
  for (size_t i = 0; i < probes.size(); ++i)
    searches.push_back(hide_scores(*keys_, std::span(products[i]), foldings, scanned, pool_,
                                   seeds.empty() ? ring::fresh_public_seed() : seeds[i]));
  spent.hide = stopwatch.lap_us();
  if (timings != nullptr) *timings = spent;
  return searches;
}

template <typename Probe>
Result<Search> Gallery::search_one(const Probe& probe, const ring::PublicSeed& seed) {
  BAUTA_TRY(std::vector<Search> searches,
            search_all(std::span(&probe, 1), nullptr, std::span(&seed, 1)));
  return std::move(searches.front());
}

template <typename Probe>
Result<Search> Gallery::compare(const Probe& probe, std::span<const uint64_t> slots,
                                const ring::PublicSeed& seed) {
  std::map<size_t, LivePositions> wanted;  // by block
  for (const uint64_t slot : slots) {
    if (!contains(slot))
      return make_error(ErrorCode::not_found, "slot {} of the gallery holds nothing", slot);
    set_live(wanted[slot / kDegree], slot % kDegree);
  }
  BAUTA_ASSERT(!wanted.empty());
  BAUTA_CHECK(prepare());
  std::vector<typename ImagesOf<Probe>::Product> products;
  std::vector<size_t> foldings;
  std::vector<ScannedBlock> scanned;
  for (const auto& [index, live] : wanted) {
    BAUTA_TRY(auto product, multiply(*keys_, probe, blocks_[index], pool_));
    products.push_back(std::move(product));
    foldings.push_back(blocks_[index].folding());
    scanned.push_back({index * kDegree, live});
  }
  return hide_scores(*keys_, std::span(products), foldings, scanned, pool_, seed);
}

template <typename Probe>
Result<Search> compare_one(const EvaluationKeys& keys, const Probe& probe, uint64_t slot,
                           const StoredReference& reference, const ring::PublicSeed& seed) {
  BAUTA_CHECK(ckks::check_key_id("reference", reference.ciphertext.key_id, keys.key_id()));
  // A block of this one reference at coefficient 0, folded at 1.
  Block block(keys.parameters(), 1);
  block.add(0, reference.ciphertext);
  BAUTA_CHECK(block.prepare(keys));
  BAUTA_TRY(auto product, multiply(keys, probe, block, nullptr));
  const size_t folding = 1;
  const ScannedBlock scanned{slot, block.live_positions()};
  return hide_scores(keys, std::span(&product, 1), std::span(&folding, 1), std::span(&scanned, 1),
                     nullptr, seed);
}

template Result<Search> compare_one(const EvaluationKeys&, const SwitchedProbe&, uint64_t,
                                    const StoredReference&, const ring::PublicSeed&);
template Result<Search> compare_one(const EvaluationKeys&, const VisibleProbe&, uint64_t,
                                    const StoredReference&, const ring::PublicSeed&);
template Result<Search> Gallery::compare(const SwitchedProbe&, std::span<const uint64_t>,
                                         const ring::PublicSeed&);
template Result<Search> Gallery::compare(const VisibleProbe&, std::span<const uint64_t>,
                                         const ring::PublicSeed&);
template Result<Search> Gallery::search_one(const SwitchedProbe&, const ring::PublicSeed&);
template Result<Search> Gallery::search_one(const VisibleProbe&, const ring::PublicSeed&);
template Result<std::vector<Search>> Gallery::search_all(std::span<const SwitchedProbe>,
                                                         SearchTimings*,
                                                         std::span<const ring::PublicSeed>);
template Result<std::vector<Search>> Gallery::search_all(std::span<const VisibleProbe>,
                                                         SearchTimings*,
                                                         std::span<const ring::PublicSeed>);

}  // namespace bauta::match
