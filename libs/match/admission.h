// What the key service looks at before a template is used, and what it may learn from it: whether
// the ciphertext holds a template at all, and of which length (docs/formats/gallery.md, Admission).
#pragma once

#include <array>

#include "match/evaluation_keys.h"

namespace bauta::match {

enum class TemplateKind : uint8_t { probe = 1, reference = 2 };  // persistent

// How far a squared norm may lie from 1 unless a gallery says otherwise.
inline constexpr double kSquaredNormTolerance = 0.01;
// Longer templates than this do not fit the modulus of the scores, whatever a gallery allows.
inline constexpr double kMaxSquaredNorm = 1.08;

// Three ciphertexts under the tenant's key, made from one template m. Every coefficient that is not
// named here is masked with a uniformly random residue.
struct Admission {
  TemplateKind kind = TemplateKind::probe;
  // m itself, two limbs: the coefficients off the stride.
  ckks::CoefficientCiphertext stray;
  // m * w for a random polynomial w of small weights, one limb: the first projection_count()
  // coefficients. Each is an inner product with weights that only the server knows, so it tells
  // the length of m and nothing else; they show that the squared norm did not wrap around Q.
  ckks::CoefficientCiphertext projections;
  // m(Y) * m(1/Y), one limb: coefficient 0, the squared norm.
  ckks::CoefficientCiphertext squared_norm;
};

size_t projection_count(const Parameters& parameters);

// Two key switches. Errors: those of EvaluationKeys::conjugation_key; mismatch.
Result<Admission> make_admission(const EvaluationKeys& keys, const SwitchedProbe& probe);
Result<Admission> make_admission(const EvaluationKeys& keys, const StoredReference& reference);

// 122.9 kB.
Bytes serialize_admission(const Parameters& parameters, const Admission& admission);
// Errors as ckks::open_envelope.
Result<Admission> parse_admission(const Parameters& parameters, ByteView bytes);

// Key-service side; plain numbers, no key. The residues that the ciphertexts decrypt to.
struct AdmissionResidues {
  std::array<ring::ConstLimb, 2> stray;
  ring::ConstLimb projections, squared_norm;
};

// The squared norm of the template, 1 for a unit vector. Error refused when it is none, lies
// further than `tolerance` from 1 or above kMaxSquaredNorm; the message gives no figure of the
// template.
Result<double> check_admission(const Parameters& parameters, TemplateKind kind,
                               const AdmissionResidues& residues,
                               double tolerance = kSquaredNormTolerance);

}  // namespace bauta::match
