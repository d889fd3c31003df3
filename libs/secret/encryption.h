// Secret-key encryption and decryption.
#pragma once

#include <span>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/keys.h"
#include "secret/randomness.h"
#include "secret/secret_key.h"

namespace bauta::secret {

// Encrypts N signed coefficients, already multiplied by scale, with a fresh uniform half (as its
// seed) and fresh errors. limbs: 1 to the number of primes. Error `unavailable` when memory cannot
// be locked.
Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, std::span<const int32_t> message,
                                       size_t limbs, double scale,
                                       Randomness& randomness = Randomness::system());
Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, const ckks::Message& message,
                                       size_t limbs, Randomness& randomness = Randomness::system());

// Under a public key: sampled over the limbs and the special primes and divided by P, so that the
// noise is only that of the rounding, about sqrt(N/18). Error `unavailable` when memory cannot be
// locked.
Result<ckks::CoefficientCiphertext> encrypt_public(const ckks::Parameters& parameters,
                                                   const ckks::PublicKey& key,
                                                   const ckks::Message& message, size_t limbs,
                                                   Randomness& randomness = Randomness::system());

// c0 + c1*s: one limb of N residues per limb of the ciphertext, in locked memory. Errors: mismatch
// when the ciphertext names another key; unavailable.
Result<ring::SecretCoefficients> decrypt(const SecretKey& key,
                                         const ckks::CoefficientCiphertext& ciphertext);

}  // namespace bauta::secret
