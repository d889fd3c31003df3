// Encrypted templates as they travel and as the store keeps them.
#pragma once

#include "ckks/ciphertext.h"
#include "match/parameters.h"

namespace bauta::match {

// What an edge sends: secret-key and seeded, under the edge's own key, 30.9 kB. A probe and a
// reference are different types on the wire; one is never taken for the other.
// Precondition: two limbs and the scale of its kind.
Bytes serialize_probe(const Parameters& parameters, const ckks::SeededCiphertext& probe);
Bytes serialize_reference(const Parameters& parameters, const ckks::SeededCiphertext& reference);

// Errors as ckks::open_envelope.
Result<ckks::SeededCiphertext> parse_probe(const Parameters& parameters, ByteView bytes);
Result<ckks::SeededCiphertext> parse_reference(const Parameters& parameters, ByteView bytes);

// A reference under the tenant's key, both polynomials: the original that blocks are laid out from,
// and that the store persists.
struct StoredReference {
  ckks::CoefficientCiphertext ciphertext;
};

// A probe under the tenant's key.
struct SwitchedProbe {
  ckks::CoefficientCiphertext ciphertext;
};

// 61.6 kB.
Bytes serialize_stored_reference(const Parameters& parameters, const StoredReference& reference);
Result<StoredReference> parse_stored_reference(const Parameters& parameters, ByteView bytes);

}  // namespace bauta::match
