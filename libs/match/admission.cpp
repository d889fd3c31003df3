#include "match/admission.h"

#include <algorithm>
#include <cmath>

#include "ckks/envelope.h"
#include "ckks/packing.h"
#include "match/tiles.h"

namespace bauta::match {
namespace {

using ckks::CoefficientCiphertext;
using ring::EvaluationPolynomial;

// Noise after the switch from an edge's key has a standard deviation near 16.
constexpr int64_t kMaxStray = 512;

// Weights are uniform in [-2^16, 2^16): so large that a projection survives the division by q1.
constexpr int kWeightShift = 13;  // of residues just below 2^30
constexpr int64_t kWeightOffset = 1 << 16;
const double kWeightDeviation = std::ldexp(1, 17) / std::sqrt(12.0);

// An honest projection exceeds this with probability 2e-9. A template that wraps around Q is at
// least 2^30 long, 16 times the largest scale, and then one in two stays below at best: with halves
// of Q, when the weights that meet them have an even sum.
constexpr double kMaxProjection_deviations = 6;
// Of the division by q1.
constexpr double kRoundingNoise = 128;

double scale_of(const Parameters& parameters, TemplateKind kind) {
  return kind == TemplateKind::probe ? parameters.probe_scale() : parameters.reference_scale();
}

ring::Basis limbs(const Parameters& parameters, size_t count) {
  return parameters.ring().ciphertext_moduli().prefix(count);
}

// Everything random in one admission, by the place in which it is used.
class Randomness {
 public:
  Randomness(const Parameters& parameters, TemplateKind kind, const ring::PublicSeed& seed)
      : parameters_(parameters), kind_(kind), seed_(seed) {}

  // Adds a uniform residue to every coefficient that is not shown. `ciphertext` is its number in
  // the order of serialisation.
  template <typename IsShown>
  void mask_others(size_t ciphertext, ring::CoefficientPolynomial& polynomial,
                   IsShown is_shown) const {
    std::vector<uint32_t> masks(kDegree);
    for (size_t i = 0; i < polynomial.limb_count(); ++i) {
      const ring::Modulus& modulus = polynomial.basis().modulus(i);
      ring::sample_uniform(seed_, "bauta admission masks", index(ciphertext), modulus, masks);
      const ring::Limb limb = polynomial.limb(i);
      for (size_t j = 0; j < kDegree; ++j)
        if (!is_shown(j)) limb[j] = modulus.add(limb[j], masks[j]);
    }
  }

  // Of the ciphertext of projections with this number.
  EvaluationPolynomial weights(size_t number) const {
    std::vector<uint32_t> words(kDegree);
    const ring::Basis basis = limbs(parameters_, kLimbs);
    ring::sample_uniform(seed_, "bauta admission weights", index(number), basis.modulus(0), words);
    std::vector<int64_t> weights(kDegree);
    std::ranges::transform(words, weights.begin(), [](uint32_t word) {
      return int64_t{word >> kWeightShift} - kWeightOffset;
    });
    return to_evaluation(ring::from_signed(weights, basis));
  }

 private:
  uint64_t index(size_t number) const { return static_cast<uint64_t>(kind_) << 32 | number; }

  const Parameters& parameters_;
  TemplateKind kind_;
  const ring::PublicSeed& seed_;
};

CoefficientCiphertext drop_limb(const Parameters& parameters, EvaluationPolynomial&& c0,
                                EvaluationPolynomial&& c1, double scale, const ckks::KeyId& id) {
  const ring::Basis basis = limbs(parameters, kLimbs);
  const ring::RoundedDivision division(basis.prefix(1), basis.slice(1, 1));
  return {division.apply(to_coefficient(std::move(c0))),
          division.apply(to_coefficient(std::move(c1))), scale, id};
}

// m(Y) * m(1/Y).
Result<CoefficientCiphertext> square(const EvaluationKeys& keys, const CoefficientCiphertext& m,
                                     const EvaluationPolynomial& m0,
                                     const EvaluationPolynomial& m1) {
  BAUTA_TRY(const auto conjugation, keys.conjugation_key());
  const ckks::PolynomialPair conjugate = keys.switcher().switch_key(
      m.c1, conjugation->key, {.addend = &m0, .element = conjugation->element});
  EvaluationPolynomial c0 = m0.clone();
  multiply_in_place(c0, conjugate.u0);
  EvaluationPolynomial c2 = m1.clone();
  multiply_in_place(c2, conjugate.u1);
  const ckks::PolynomialPair linear =
      keys.switcher().switch_key(c2, keys.relinearization_key().key);
  EvaluationPolynomial c1 = linear.u1.clone();
  add_in_place(c0, linear.u0);
  multiply_add(c1, m0, conjugate.u1);
  multiply_add(c1, m1, conjugate.u0);
  return drop_limb(keys.parameters(), std::move(c0), std::move(c1), m.scale, m.key_id);
}

Result<Admission> make_admission(const EvaluationKeys& keys, TemplateKind kind,
                                 const CoefficientCiphertext& m, const ring::PublicSeed& seed) {
  const Parameters& parameters = keys.parameters();
  const Randomness randomness(parameters, kind, seed);
  BAUTA_CHECK(ckks::check_key_id(kind == TemplateKind::probe ? "probe" : "reference", m.key_id,
                                 keys.key_id()));
  const EvaluationPolynomial m0 = to_evaluation(m.c0.clone());
  const EvaluationPolynomial m1 = to_evaluation(m.c1.clone());
  Admission admission;
  admission.kind = kind;
  admission.stray = {m.c0.clone(), m.c1.clone(), m.scale, m.key_id};
  randomness.mask_others(0, admission.stray.c0,
                         [&](size_t j) { return j % parameters.stride() != 0; });

  const size_t shown = shown_projections(parameters);
  for (size_t i = 0; i < projection_ciphertexts(parameters); ++i) {
    EvaluationPolynomial weighted0 = randomness.weights(i);
    EvaluationPolynomial weighted1 = weighted0.clone();
    multiply_in_place(weighted0, m0);
    multiply_in_place(weighted1, m1);
    admission.projections.push_back(
        drop_limb(parameters, std::move(weighted0), std::move(weighted1), m.scale, m.key_id));
    randomness.mask_others(1 + i, admission.projections.back().c0,
                           [&](size_t j) { return j < shown; });
  }

  BAUTA_TRY(admission.squared_norm, square(keys, m, m0, m1));
  randomness.mask_others(1 + admission.projections.size(), admission.squared_norm.c0,
                         [](size_t j) { return j == 0; });
  return admission;
}

// The representative nearest to zero.
int64_t centred(uint32_t residue, uint32_t modulus) {
  return residue > modulus / 2 ? int64_t{residue} - modulus : int64_t{residue};
}

void write_halves(ByteWriter& writer, const CoefficientCiphertext& ciphertext) {
  ckks::pack_polynomial(writer, ciphertext.c0);
  ckks::pack_polynomial(writer, ciphertext.c1);
}

Result<CoefficientCiphertext> read_halves(ByteReader& reader, const ring::Basis& basis,
                                          double scale, const ckks::KeyId& id) {
  CoefficientCiphertext ciphertext;
  BAUTA_TRY(ciphertext.c0, ckks::unpack_polynomial<ring::Form::coefficient>(reader, basis));
  BAUTA_TRY(ciphertext.c1, ckks::unpack_polynomial<ring::Form::coefficient>(reader, basis));
  ciphertext.scale = scale;
  ciphertext.key_id = id;
  return ciphertext;
}

}  // namespace

size_t shown_projections(const Parameters& parameters) {
  return std::min(parameters.stride(), kProjections);
}

size_t projection_ciphertexts(const Parameters& parameters) {
  return kProjections / shown_projections(parameters);
}

Result<Admission> make_admission(const EvaluationKeys& keys, const SwitchedProbe& probe,
                                 const ring::PublicSeed& seed) {
  return make_admission(keys, TemplateKind::probe, probe.ciphertext, seed);
}

Result<Admission> make_admission(const EvaluationKeys& keys, const StoredReference& reference,
                                 const ring::PublicSeed& seed) {
  return make_admission(keys, TemplateKind::reference, reference.ciphertext, seed);
}

Bytes serialize_admission(const Parameters& parameters, const Admission& admission) {
  ByteWriter payload;
  payload.u8(static_cast<uint8_t>(admission.kind));
  write_halves(payload, admission.stray);
  BAUTA_ASSERT(admission.projections.size() == projection_ciphertexts(parameters));
  for (const CoefficientCiphertext& projections : admission.projections)
    write_halves(payload, projections);
  write_halves(payload, admission.squared_norm);
  return ckks::seal_envelope({.type = ckks::ObjectType::admission,
                              .parameters = parameters.digest(),
                              .key_id = admission.stray.key_id},
                             payload.bytes());
}

Result<Admission> parse_admission(const Parameters& parameters, ByteView bytes) {
  const ckks::ObjectType type = ckks::ObjectType::admission;
  const ring::Basis one = limbs(parameters, 1), two = limbs(parameters, kLimbs);
  const size_t projections = projection_ciphertexts(parameters);
  const size_t payload_bytes =
      1 + 2 * (ckks::packed_bytes(two) + (projections + 1) * ckks::packed_bytes(one));
  BAUTA_TRY(const ckks::Envelope envelope,
            ckks::open_envelope(bytes, {.type = type,
                                        .parameters = parameters.digest(),
                                        .max_payload_bytes = payload_bytes}));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(const uint8_t kind, reader.u8());
  if (kind != static_cast<uint8_t>(TemplateKind::probe) &&
      kind != static_cast<uint8_t>(TemplateKind::reference))
    return make_error(ErrorCode::corrupt, "an admission of the unknown kind {}", kind);
  Admission admission;
  admission.kind = static_cast<TemplateKind>(kind);
  const double scale = scale_of(parameters, admission.kind);
  BAUTA_TRY(admission.stray, read_halves(reader, two, scale, envelope.key_id));
  for (size_t i = 0; i < projections; ++i) {
    BAUTA_TRY(CoefficientCiphertext read, read_halves(reader, one, scale, envelope.key_id));
    admission.projections.push_back(std::move(read));
  }
  BAUTA_TRY(admission.squared_norm, read_halves(reader, one, scale, envelope.key_id));
  BAUTA_CHECK(reader.finish());
  return admission;
}

size_t short_projections(const Parameters& parameters, TemplateKind kind,
                         std::span<const ring::ConstLimb> projections) {
  BAUTA_ASSERT(projections.size() == projection_ciphertexts(parameters));
  const std::vector<uint32_t>& primes = parameters.ring().primes();
  const double longest = kMaxProjection_deviations * kWeightDeviation * scale_of(parameters, kind) /
                             primes[1] * std::sqrt(kMaxSquaredNorm) +
                         kRoundingNoise;
  size_t count = 0;
  for (const ring::ConstLimb& residues : projections)
    for (size_t j = 0; j < shown_projections(parameters); ++j)
      if (static_cast<double>(std::abs(centred(residues[j], primes[0]))) <= longest) ++count;
  return count;
}

Result<double> check_admission(const Parameters& parameters, TemplateKind kind,
                               const AdmissionResidues& residues, double tolerance) {
  const char* const name = kind == TemplateKind::probe ? "probe" : "reference";
  const std::vector<uint32_t>& primes = parameters.ring().primes();
  for (size_t j = 0; j < kDegree; ++j) {
    if (j % parameters.stride() == 0) continue;
    const int64_t value = centred(residues.stray[0][j], primes[0]);
    if (std::abs(value) > kMaxStray || value != centred(residues.stray[1][j], primes[1]))
      return make_error(ErrorCode::refused,
                        "the {} holds something where only noise may be: it is no template", name);
  }
  const Error wrong_norm =
      make_error(ErrorCode::refused,
                 "the {} is not a vector of norm 1 within the gallery's tolerance; normalise the "
                 "embedding before it is encrypted",
                 name);
  if (short_projections(parameters, kind, residues.projections) < kProjections) return wrong_norm;
  const double scale = scale_of(parameters, kind);
  const double squared_norm = static_cast<double>(centred(residues.squared_norm[0], primes[0])) /
                              (scale * scale / primes[1]);
  if (!(std::abs(squared_norm - 1) <= tolerance && squared_norm <= kMaxSquaredNorm))
    return wrong_norm;
  return squared_norm;
}

}  // namespace bauta::match
