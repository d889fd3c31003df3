// Makes the public keys that ckks/keys.h describes.
#pragma once

#include "ckks/keys.h"
#include "ckks/ring_switch.h"
#include "secret/randomness.h"
#include "secret/secret_key.h"

namespace bauta::secret {

// All lock about 12 N bytes, and N more per digit, while they run, whatever the number of moduli.
// Errors: invalid_argument for a shape that check_shape refuses; unavailable when memory cannot be
// locked.

// From another secret of the same parameters, e.g. an edge's.
Result<ckks::SwitchingKey> generate_switching_key(const SecretKey& from, const SecretKey& to,
                                                  const ckks::KeySwitchShape& shape,
                                                  Randomness& randomness = Randomness::system());

// element: odd, below 2N.
Result<ckks::GaloisKey> generate_galois_key(const SecretKey& key, uint32_t element,
                                            const ckks::KeySwitchShape& shape,
                                            Randomness& randomness = Randomness::system());

Result<ckks::RelinearizationKey> generate_relinearization_key(
    const SecretKey& key, const ckks::KeySwitchShape& shape,
    Randomness& randomness = Randomness::system());

Result<ckks::PublicKey> generate_public_key(const SecretKey& key,
                                            Randomness& randomness = Randomness::system());

// From a secret of the large ring to one of the small ring.
Result<ckks::RingSwitchKey> generate_ring_switch_key(const ckks::RingSwitchParameters& parameters,
                                                     const SecretKey& from, const SecretKey& to,
                                                     Randomness& randomness = Randomness::system());

}  // namespace bauta::secret
