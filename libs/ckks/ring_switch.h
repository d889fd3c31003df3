// From a large ring to a small one: the coefficients at the multiples of N/n of a ciphertext of
// degree N become a ciphertext of degree n (Gentry, Halevi, Peikert, Smart: "Field switching in
// BGV-style homomorphic encryption", JCS 21, 2013).
#pragma once

#include "ckks/ciphertext.h"
#include "ckks/key_switching.h"

namespace bauta::ckks {

// What a ring switch works with. Its key holds encryptions under the small secret s(X^(N/n)); each
// splits into N/n samples of dimension n under s, so its moduli are held to the limit of the small
// degree, although the key lives in the large ring. Immutable and cheap to copy.
class RingSwitchParameters {
 public:
  // The ciphertext moduli are those of `small`. Errors invalid_argument: the degree of `small` does
  // not divide that of `large` or is not smaller; its primes are not the first of `large`; log2(QP)
  // of its primes and these special primes is beyond max_log2_qp of its degree (unless it is
  // insecure).
  static Result<RingSwitchParameters> create(const Parameters& large, const Parameters& small,
                                             const std::vector<uint32_t>& special_primes);

  const Parameters& large() const { return large_; }
  const Parameters& small() const { return small_; }
  // The large degree with the moduli of the switch.
  const Parameters& switching() const { return switching_; }
  size_t factor() const { return large_.degree() / small_.degree(); }
  // Every prime its own digit.
  KeySwitchShape shape() const { return top_shape(switching_, 1); }
  // Of all of the above.
  const Digest& digest() const { return digest_; }

 private:
  RingSwitchParameters(const Parameters& large, const Parameters& small,
                       const Parameters& switching);

  Parameters large_, small_, switching_;
  Digest digest_;
};

// Switches from the large secret to the small one.
struct RingSwitchKey {
  SwitchingKey key;
};

Bytes serialize(const RingSwitchParameters& parameters, const RingSwitchKey& key);
// Errors as open_envelope.
Result<RingSwitchKey> parse_ring_switch_key(const RingSwitchParameters& parameters, ByteView bytes);

class RingSwitcher {
 public:
  explicit RingSwitcher(const RingSwitchParameters& parameters);

  // At the same scale; limbs beyond those of the small ring are dropped. Preconditions: the
  // ciphertext is of the large ring, under key.from, with at least the limbs of the small ring.
  CoefficientCiphertext apply(const EvaluationCiphertext& ciphertext, const RingSwitchKey& key,
                              ThreadPool* pool = nullptr) const;

 private:
  RingSwitchParameters parameters_;
  KeySwitcher switcher_;
};

}  // namespace bauta::ckks
