// The encrypted gallery of the authentication server: blocks of references, searched without
// anything being decrypted.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "match/block.h"

namespace bauta::match {

// 4,194,304 references.
inline constexpr uint64_t kMaxSlots = kMaxBlocks * kDegree;

// Reads the original of a slot from the store. Error not_found: it was erased there; the block is
// laid out without it.
using ReadStoredReference = std::function<Result<StoredReference>(uint64_t slot)>;

// A reference lies in a slot that the caller chooses and that it keeps for life: block slot / N,
// coefficient slot % N. Not thread-safe, but after prepare(), and until the next change, searches
// and comparisons may run side by side.
//
// A block is folded no wider than its highest slot needs (at least kMinFolding): m ciphertexts of
// 128 KiB, m key switches per probe. An insertion beyond lays it out anew, from the originals.
// Where the time of a search went, in microseconds.
struct SearchTimings {
  double expand = 0;  // the probe's images: one decomposition and m - 1 key switches a folding
  double scan = 0;    // probe times blocks, at the speed of memory
  double hide = 0;    // relinearisation, dropped limb, masks, permutation
};

class Gallery {
 public:
  // read_stored is called by insert (when a block is laid out anew) and by erase.
  Gallery(std::shared_ptr<const EvaluationKeys> keys, ReadStoredReference read_stored,
          ThreadPool* pool = nullptr);

  // The lowest slot that holds nothing.
  uint64_t first_free_slot() const;
  bool contains(uint64_t slot) const;
  size_t references() const;
  size_t block_count() const { return blocks_.size(); }
  size_t memory_bytes() const;
  const Block& block(size_t i) const { return blocks_[i]; }
  // What a search reads of block i. Preconditions: i < block_count(), prepared.
  const TiledCiphertexts& block_images(size_t i) const { return blocks_[i].images(); }

  // Lays blocks out for slots below this from the start; for loading a whole gallery.
  void reserve(uint64_t slots);

  // Errors: already_exists (slot taken), refused (in a block that was made whole), mismatch
  // (another key), no_space (slot at or beyond kMaxSlots), and those of read_stored. On error
  // nothing changed.
  Status insert(uint64_t slot, const StoredReference& reference);

  // Takes a reference out exactly: the block is then bit for bit one that never held it.
  // In a block that was made whole it does what retire() does. Errors: not_found, mismatch, and
  // those of read_stored. On error nothing changed.
  Status erase(uint64_t slot);

  // Takes a reference out of the scores at once, without its original; what the block's sums hold
  // of it stays until the block is laid out anew. Fine if the slot holds nothing.
  void retire(uint64_t slot);

  // Brings every block up to date, so that the next search pays for nothing but the search.
  Status prepare();

  // Takes a block that was made elsewhere. Precondition: index < kMaxBlocks and nothing is there.
  void place(size_t index, Block block);

  // Adds a whole block of bulk-made ciphertexts (match/bulk.h) behind the last one. Its references
  // have no originals: erase() only takes them out of the scores. Error no_space.
  Status append_block(TiledCiphertexts images, const std::bitset<kDegree>& live);

  // Compares each probe with every reference, after prepare(); the gallery is read once for all.
  // A result is a function of keys, references, probe and seed, whatever the threads. A seed is
  // uniform, of one request, and unknown to the key service: two requests that share one show it
  // what is masked. Without seeds, each probe gets a fresh one. Errors: not_found when the gallery
  // is empty; mismatch for a probe of another key. Precondition: no seeds or one a probe.
  Result<std::vector<Search>> search(std::span<const SwitchedProbe> probes,
                                     SearchTimings* timings = nullptr,
                                     std::span<const ring::PublicSeed> seeds = {}) {
    return search_all(probes, timings, seeds);
  }
  Result<std::vector<Search>> search(std::span<const VisibleProbe> probes,
                                     SearchTimings* timings = nullptr,
                                     std::span<const ring::PublicSeed> seeds = {}) {
    return search_all(probes, timings, seeds);
  }
  Result<Search> search(const SwitchedProbe& probe,
                        const ring::PublicSeed& seed = ring::fresh_public_seed()) {
    return search_one(probe, seed);
  }
  Result<Search> search(const VisibleProbe& probe,
                        const ring::PublicSeed& seed = ring::fresh_public_seed()) {
    return search_one(probe, seed);
  }
  // 1:1 with references that have no original: reads their blocks alone, and every other score of
  // these is masked. Seed as in search. Probe is one of the two. Errors: not_found when a slot
  // holds nothing; mismatch.
  template <typename Probe>
  Result<Search> compare(const Probe& probe, std::span<const uint64_t> slots,
                         const ring::PublicSeed& seed = ring::fresh_public_seed());

 private:
  template <typename Probe>
  Result<std::vector<Search>> search_all(std::span<const Probe> probes, SearchTimings* timings,
                                         std::span<const ring::PublicSeed> seeds);
  template <typename Probe>
  Result<Search> search_one(const Probe& probe, const ring::PublicSeed& seed);

  Status make_room(uint64_t slot);
  // Lays the block out anew, open, from its originals.
  Status rebuild(size_t index, size_t folding);

  std::shared_ptr<const EvaluationKeys> keys_;
  ReadStoredReference read_stored_;
  ThreadPool* pool_;
  std::vector<Block> blocks_;
};

// 1:1: compares the probe with one reference, from its original alone. The slot is only handed
// through to the search's map. Seed as in Gallery::search. Probe is SwitchedProbe or VisibleProbe.
// Error: mismatch.
template <typename Probe>
Result<Search> compare_one(const EvaluationKeys& keys, const Probe& probe, uint64_t slot,
                           const StoredReference& reference,
                           const ring::PublicSeed& seed = ring::fresh_public_seed());

}  // namespace bauta::match
