#include "ckks/key_set.h"

namespace bauta::ckks {

uint32_t rotation_element(int64_t steps, size_t degree) {
  const auto slots = static_cast<int64_t>(degree / 2);  // the order of 5
  const uint64_t order = 2 * degree;
  uint64_t element = 1;
  uint64_t power = 5;
  for (int64_t bits = (steps % slots + slots) % slots; bits > 0; bits /= 2) {
    if (bits % 2 == 1) element = element * power % order;
    power = power * power % order;
  }
  return static_cast<uint32_t>(element);
}

Result<KeySet> KeySet::create(const KeyId& key_id, std::span<const KeySwitchShape> stages) {
  KeySet keys(key_id);
  for (const KeySwitchShape& shape : stages)
    if (!keys.stages_.emplace(shape.limbs, Stage{shape, {}}).second)
      return make_error(ErrorCode::invalid_argument, "two stages of keys for {} limbs",
                        shape.limbs);
  if (keys.stages_.empty())
    return make_error(ErrorCode::invalid_argument, "a key set without a stage");
  return keys;
}

const KeySwitchShape* KeySet::stage(size_t limbs) const {
  const auto stage = stages_.lower_bound(limbs);
  return stage == stages_.end() ? nullptr : &stage->second.shape;
}

Status KeySet::add(GaloisKey&& key) {
  return add(key.element, std::move(key.key));
}

Status KeySet::add(RelinearizationKey&& key) {
  return add(KeyUse::kRelinearization, std::move(key.key));
}

Status KeySet::add(uint32_t element, SwitchingKey&& key) {
  BAUTA_CHECK(check_key_id("evaluation key", key.to, key_id_));
  const auto stage = stages_.find(key.shape.limbs);
  if (stage == stages_.end() || stage->second.shape != key.shape)
    return make_error(ErrorCode::mismatch, "a key for {} limbs that fits no stage of the key set",
                      key.shape.limbs);
  stage->second.keys.insert_or_assign(element, std::move(key));
  return {};
}

const SwitchingKey* KeySet::find(const KeyUse& use) const {
  const auto stage = stages_.lower_bound(use.limbs);
  if (stage == stages_.end()) return nullptr;
  const auto key = stage->second.keys.find(use.element);
  return key == stage->second.keys.end() ? nullptr : &key->second;
}

Status KeySet::check(const std::set<KeyUse>& uses) const {
  for (const KeyUse& use : uses) {
    if (find(use)) continue;
    if (use.element == KeyUse::kRelinearization)
      return make_error(ErrorCode::not_found, "the relinearisation key for {} limbs is missing",
                        use.limbs);
    return make_error(ErrorCode::not_found, "the Galois key for X -> X^{} at {} limbs is missing",
                      use.element, use.limbs);
  }
  return {};
}

}  // namespace bauta::ckks
