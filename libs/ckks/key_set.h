// The evaluation keys of one secret, in stages.
#pragma once

#include <map>
#include <set>

#include "ckks/keys.h"

namespace bauta::ckks {

// A switch that a circuit makes: of a Galois element or of s^2, on ciphertexts of so many limbs.
struct KeyUse {
  uint32_t element = 1;  // kRelinearization for s^2
  size_t limbs = 0;

  static constexpr uint32_t kRelinearization = 0;
  friend auto operator<=>(const KeyUse&, const KeyUse&) = default;
};

// X -> X^(5^steps) turns the slots by `steps` (slot j takes the value of slot j + steps), X -> X^-1
// conjugates them.
uint32_t rotation_element(int64_t steps, size_t degree);
inline uint32_t conjugation_element(size_t degree) {
  return static_cast<uint32_t>(2 * degree - 1);
}

// Every stage has keys of one shape. A ciphertext is served by the narrowest stage that has its
// limbs: as levels are spent, narrower keys with fewer digits, whose special moduli are the spent
// primes, make key switches cheaper.
class KeySet {
 public:
  // Error invalid_argument: two stages with the same number of limbs, or no stage.
  static Result<KeySet> create(const KeyId& key_id, std::span<const KeySwitchShape> stages);

  const KeyId& key_id() const { return key_id_; }
  // The shape that serves ciphertexts of this many limbs; nullptr if they have too many.
  const KeySwitchShape* stage(size_t limbs) const;

  // Error mismatch: a key of another secret or of no stage's shape.
  Status add(GaloisKey&& key);
  Status add(RelinearizationKey&& key);

  // nullptr if there is none.
  const SwitchingKey* find(const KeyUse& use) const;
  // Error not_found, naming the first that is missing.
  Status check(const std::set<KeyUse>& uses) const;

 private:
  struct Stage {
    KeySwitchShape shape;
    std::map<uint32_t, SwitchingKey> keys;  // by element
  };
  explicit KeySet(const KeyId& key_id) : key_id_(key_id) {}
  Status add(uint32_t element, SwitchingKey&& key);

  KeyId key_id_;
  std::map<size_t, Stage> stages_;  // by limbs
};

}  // namespace bauta::ckks
