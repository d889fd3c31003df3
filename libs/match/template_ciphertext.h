// Encrypted templates as they travel and as the store keeps them.
#pragma once

#include "ckks/ciphertext.h"
#include "match/template_codec.h"

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

// A probe in the clear, for galleries that are made for such: a face, which the authentication
// server then sees (SECURITY.md). The work of a search on it is done in memory that is neither
// locked nor wiped.
struct VisibleProbe {
  TemplatePolynomial polynomial;  // encode_probe
};

// 61.6 kB.
Bytes serialize_stored_reference(const Parameters& parameters, const StoredReference& reference);
Result<StoredReference> parse_stored_reference(const Parameters& parameters, ByteView bytes);

}  // namespace bauta::match
