#include "match/gallery.h"

#include <algorithm>
#include <map>

#include "match/search.h"

namespace bauta::match {

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
  // Sums and images: two polynomials of two limbs each.
  size_t parts = 0;
  for (const Block& block : blocks_) parts += block.folding();
  return parts * 2 * 2 * 2 * kDegree * sizeof(uint32_t);
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
  BAUTA_CHECK(make_room(slot));
  blocks_[slot / kDegree].add(slot % kDegree, reference.ciphertext);
  return {};
}

// Widens the block of a slot, or adds it.
Status Gallery::make_room(uint64_t slot) {
  const Parameters& parameters = keys_->parameters();
  const size_t index = slot / kDegree;
  const size_t folding = folding_for(parameters, slot % kDegree);
  while (blocks_.size() <= index) blocks_.emplace_back(parameters, kMinFolding);
  if (folding <= blocks_[index].folding()) return {};
  Block wider(parameters, folding);
  for (size_t j = 0; j < kDegree; ++j) {
    if (!blocks_[index].contains(j)) continue;
    BAUTA_TRY(const StoredReference original, read_stored_(index * kDegree + j));
    BAUTA_CHECK(ckks::check_key_id("reference", original.ciphertext.key_id, keys_->key_id()));
    wider.add(j, original.ciphertext);
  }
  blocks_[index] = std::move(wider);
  return {};
}

Status Gallery::erase(uint64_t slot) {
  if (!contains(slot))
    return make_error(ErrorCode::not_found, "slot {} of the gallery holds nothing", slot);
  BAUTA_TRY(const StoredReference original, read_stored_(slot));
  BAUTA_CHECK(ckks::check_key_id("reference", original.ciphertext.key_id, keys_->key_id()));
  blocks_[slot / kDegree].subtract(slot % kDegree, original.ciphertext);
  return {};
}

Status Gallery::prepare() {
  for (Block& block : blocks_)
    if (block.references() > 0) BAUTA_CHECK(block.prepare(*keys_, pool_));
  return {};
}

Result<Search> Gallery::search(const SwitchedProbe& probe) {
  BAUTA_CHECK(ckks::check_key_id("probe", probe.ciphertext.key_id, keys_->key_id()));
  if (references() == 0)
    return make_error(ErrorCode::not_found, "the gallery is empty; enrol somebody first");
  BAUTA_CHECK(prepare());
  std::map<size_t, ProbeImages> images_of_folding;
  SearchBuilder builder(*keys_);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    if (block.references() == 0) continue;
    ProbeImages& images = images_of_folding[block.folding()];
    if (images.empty()) {
      BAUTA_TRY(images, make_probe_images(*keys_, probe, block.folding(), pool_));
    }
    builder.add_block(block.compare(images, pool_), block.folding(), i * kDegree,
                      block.live_positions());
  }
  return std::move(builder).finish();
}

Result<Search> compare_one(const EvaluationKeys& keys, const SwitchedProbe& probe, uint64_t slot,
                           const StoredReference& reference) {
  BAUTA_CHECK(ckks::check_key_id("probe", probe.ciphertext.key_id, keys.key_id()));
  BAUTA_CHECK(ckks::check_key_id("reference", reference.ciphertext.key_id, keys.key_id()));
  // A block of this one reference at coefficient 0, folded at 1.
  Block block(keys.parameters(), 1);
  block.add(0, reference.ciphertext);
  BAUTA_CHECK(block.prepare(keys));
  BAUTA_TRY(const ProbeImages images, make_probe_images(keys, probe, 1));
  SearchBuilder builder(keys);
  builder.add_block(block.compare(images), 1, slot, block.live_positions());
  return std::move(builder).finish();
}

}  // namespace bauta::match
