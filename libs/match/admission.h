// What the key service looks at before a template is used, and what it may learn from it: whether
// the ciphertext holds a template at all, and of which length (docs/formats/gallery.md, Admission).
#pragma once

#include <array>
#include <vector>

#include "match/evaluation_keys.h"

namespace bauta::match {

enum class TemplateKind : uint8_t { probe = 1, reference = 2 };  // persistent

// How far a squared norm may lie from 1 unless a gallery says otherwise.
inline constexpr double kSquaredNormTolerance = 0.01;
// Longer templates than this do not fit the modulus of the scores, whatever a gallery allows.
inline constexpr double kMaxSquaredNorm = 1.08;

// Each is an inner product of the template with weights of its own.
inline constexpr size_t kProjections = 32;

// Ciphertexts under the tenant's key, made from one template m. Every coefficient that is not named
// here is masked with a uniformly random residue.
struct Admission {
  TemplateKind kind = TemplateKind::probe;
  // m itself, two limbs: the coefficients off the stride.
  ckks::CoefficientCiphertext stray;
  // m * w, one limb each, for projection_ciphertexts() random polynomials w of small weights: the
  // first shown_projections() coefficients. Only the server knows the weights, so a projection
  // tells the length of m and nothing else; they show that the squared norm did not wrap around Q.
  std::vector<ckks::CoefficientCiphertext> projections;
  // m(Y) * m(1/Y), one limb: coefficient 0, the squared norm.
  ckks::CoefficientCiphertext squared_norm;
};

// Of each ciphertext of projections: coefficients below the stride are made of weights that no
// other of them contains. Further ones would be made of the same weights, shifted, and so tell the
// template's correlation with itself.
size_t shown_projections(const Parameters& parameters);
// Enough for kProjections: 1 up to width 128, then 2, 4, 8.
size_t projection_ciphertexts(const Parameters& parameters);

// Two key switches. A function of keys, template and seed: masks and weights follow from the seed,
// which is uniform, of this one request, and unknown to the key service. Errors: those of
// EvaluationKeys::conjugation_key; mismatch.
Result<Admission> make_admission(const EvaluationKeys& keys, const SwitchedProbe& probe,
                                 const ring::PublicSeed& seed = ring::fresh_public_seed());
Result<Admission> make_admission(const EvaluationKeys& keys, const StoredReference& reference,
                                 const ring::PublicSeed& seed = ring::fresh_public_seed());

// 122,985 bytes and 30,720 for every ciphertext of projections after the first.
Bytes serialize_admission(const Parameters& parameters, const Admission& admission);
// Errors as ckks::open_envelope.
Result<Admission> parse_admission(const Parameters& parameters, ByteView bytes);

// Key-service side; plain numbers, no key. The residues that the ciphertexts decrypt to.
struct AdmissionResidues {
  std::array<ring::ConstLimb, 2> stray;
  std::vector<ring::ConstLimb> projections;
  ring::ConstLimb squared_norm;
};

// How many of the kProjections are as short as those of a template. Precondition:
// projection_ciphertexts() of them.
size_t short_projections(const Parameters& parameters, TemplateKind kind,
                         std::span<const ring::ConstLimb> projections);

// The squared norm of the template, 1 for a unit vector. Error refused when it is none, lies
// further than `tolerance` from 1 or above kMaxSquaredNorm; the message gives no figure of the
// template.
Result<double> check_admission(const Parameters& parameters, TemplateKind kind,
                               const AdmissionResidues& residues,
                               double tolerance = kSquaredNormTolerance);

}  // namespace bauta::match
