// Public keys of the evaluator: with them ciphertexts are computed on, and nothing is decrypted.
#pragma once

#include <vector>

#include "ckks/key_id.h"
#include "ckks/parameters.h"
#include "ring/sampler.h"

namespace bauta::ckks {

// The moduli of a hybrid key switch. Ciphertexts of up to `limbs` limbs are cut into digits of
// digit_limbs primes each; the special moduli are a run of Parameters::all_moduli() beyond the
// first `limbs`, so that keys for deeper levels can use the spent primes of Q as special ones.
struct KeySwitchShape {
  size_t limbs = 0;
  size_t special_begin = 0;
  size_t special_count = 0;
  size_t digit_limbs = 1;

  size_t digits() const { return (limbs + digit_limbs - 1) / digit_limbs; }
  // The shape for ciphertexts of fewer limbs; keys of this shape serve it.
  KeySwitchShape at(size_t fewer_limbs) const {
    return {fewer_limbs, special_begin, special_count, digit_limbs};
  }
  // A key of this shape can switch ciphertexts by `other`.
  bool serves(const KeySwitchShape& other) const {
    return at(other.limbs) == other && other.limbs <= limbs;
  }
  // The moduli in use: the first `limbs`, then the special ones.
  ring::Basis basis(const Parameters& parameters) const;

  friend auto operator<=>(const KeySwitchShape&, const KeySwitchShape&) = default;
};

// All of Q, with all special primes.
KeySwitchShape top_shape(const Parameters& parameters, size_t digit_limbs);

// Error invalid_argument: no limbs or special moduli, a range outside the parameters, special
// moduli among the limbs, or a product of special moduli smaller than a digit, which would drown
// the message in noise.
Status check_shape(const Parameters& parameters, const KeySwitchShape& shape);

// Switches ciphertexts from the secret `from` to the secret `to`. For every digit d a sample
// (b_d, a_d) modulo the shape's basis with b_d = -a_d*to + e_d + P*g_d*from, where P is the product
// of the special moduli, and g_d is 1 modulo the primes of digit d and 0 modulo the other limbs.
struct SwitchingKey {
  KeySwitchShape shape;
  KeyId from, to;
  ring::PublicSeed seed{};  // a[d] = sample_uniform(seed, kSwitchingKeyPurpose, d, basis)
  std::vector<ring::EvaluationPolynomial> b, a;
};

inline constexpr std::string_view kSwitchingKeyPurpose = "bauta switching key uniform half";

// Makes a[d] for every digit from the seed.
void expand_uniform_halves(const Parameters& parameters, SwitchingKey& key);

// For X -> X^element. The key switches from s(X) to s(X^(1/element)), and the automorphism is
// applied to what comes out, so that hoisted digits are never permuted.
struct GaloisKey {
  uint32_t element = 1;
  SwitchingKey key;
};

// The element h with element * h = 1 modulo 2N.
uint32_t inverse_galois_element(uint32_t element, size_t degree);

// Switches from s^2 to s.
struct RelinearizationKey {
  SwitchingKey key;
};

// An encryption of zero that everybody can add messages to: (b, a) modulo all moduli with
// b = -a*s + e.
struct PublicKey {
  KeyId key_id;
  ring::PublicSeed seed{};  // a = sample_uniform(seed, kPublicKeyPurpose, 0, all_moduli())
  ring::EvaluationPolynomial b, a;
};

inline constexpr std::string_view kPublicKeyPurpose = "bauta public key uniform half";

// Uniform halves travel as their seed.
Bytes serialize(const Parameters& parameters, const SwitchingKey& key);
Bytes serialize(const Parameters& parameters, const GaloisKey& key);
Bytes serialize(const Parameters& parameters, const RelinearizationKey& key);
Bytes serialize(const Parameters& parameters, const PublicKey& key);
// The size of a serialised Galois key of this shape: files hold many of them one after another.
size_t galois_key_bytes(const Parameters& parameters, const KeySwitchShape& shape);

// Errors as open_envelope, and mismatch if the shape is not the one wanted.
Result<SwitchingKey> parse_switching_key(const Parameters& parameters, const KeySwitchShape& shape,
                                         ByteView bytes);
Result<GaloisKey> parse_galois_key(const Parameters& parameters, const KeySwitchShape& shape,
                                   ByteView bytes);
Result<RelinearizationKey> parse_relinearization_key(const Parameters& parameters,
                                                     const KeySwitchShape& shape, ByteView bytes);
Result<PublicKey> parse_public_key(const Parameters& parameters, ByteView bytes);

// The payload of an object that holds a switching key.
void write_payload(ByteWriter& writer, const SwitchingKey& key);
size_t switching_key_payload_bytes(const Parameters& parameters, const KeySwitchShape& shape);
Result<SwitchingKey> read_switching_key_payload(ByteReader& reader, const Parameters& parameters,
                                                const KeySwitchShape& shape, const KeyId& to);

}  // namespace bauta::ckks
