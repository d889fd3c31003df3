#include "ckks/ring_switch.h"

#include <algorithm>
#include <bit>

#include "ckks/envelope.h"

namespace bauta::ckks {
namespace {

Digest ring_switch_digest(const Parameters& large, const Parameters& small,
                          const Parameters& switching) {
  ByteWriter writer;
  writer.raw(as_bytes("bauta ring switch 1"));
  for (const Parameters* parameters : {&large, &small, &switching})
    writer.raw(parameters->digest());
  return sha256(writer.bytes());
}

// The coefficients at the multiples of `factor`.
ring::CoefficientPolynomial thinned(const ring::CoefficientPolynomial& polynomial, size_t factor,
                                    const ring::Basis& basis) {
  auto small = ring::CoefficientPolynomial::uninitialised(basis);
  for (size_t i = 0; i < basis.size(); ++i) {
    const ring::ConstLimb limb = polynomial.limb(i);
    const ring::Limb out = small.limb(i);
    for (size_t j = 0; j < out.size(); ++j) out[j] = limb[factor * j];
  }
  return small;
}

}  // namespace

RingSwitchParameters::RingSwitchParameters(const Parameters& large, const Parameters& small,
                                           const Parameters& switching)
    : large_(large),
      small_(small),
      switching_(switching),
      digest_(ring_switch_digest(large, small, switching)) {}

Result<RingSwitchParameters> RingSwitchParameters::create(
    const Parameters& large, const Parameters& small, const std::vector<uint32_t>& special_primes) {
  // Degrees are powers of two, so the smaller divides the larger.
  if (small.degree() >= large.degree())
    return make_error(ErrorCode::invalid_argument,
                      "a ring switch from degree {} to {}: the target must be smaller",
                      large.degree(), small.degree());
  const std::vector<uint32_t>& primes = small.primes();
  if (primes.size() > large.primes().size() ||
      !std::equal(primes.begin(), primes.end(), large.primes().begin()))
    return make_error(ErrorCode::invalid_argument,
                      "the primes of the small ring are not the first of the large ring's");
  const ParametersLiteral literal{
      .degree = large.degree(), .primes = primes, .special_primes = special_primes};
  BAUTA_TRY(const Parameters switching,
            small.insecure() ? Parameters::insecure_create(literal) : Parameters::create(literal));
  const double limit = max_log2_qp(small.degree());
  if (!small.insecure() && switching.log2_qp() > limit)
    return make_error(ErrorCode::invalid_argument,
                      "a ring switch at log2(QP) = {:.1f}: its key is under a secret of dimension "
                      "{}, for which 128-bit security allows {}",
                      switching.log2_qp(), small.degree(), limit);
  BAUTA_CHECK(check_shape(switching, top_shape(switching, 1)));
  return RingSwitchParameters(large, small, switching);
}

Bytes serialize(const RingSwitchParameters& parameters, const RingSwitchKey& key) {
  ByteWriter payload;
  write_payload(payload, key.key);
  return seal_envelope({.type = ObjectType::ring_switch_key,
                        .parameters = parameters.digest(),
                        .key_id = key.key.to},
                       payload.bytes());
}

Result<RingSwitchKey> parse_ring_switch_key(const RingSwitchParameters& parameters,
                                            ByteView bytes) {
  const ObjectType type = ObjectType::ring_switch_key;
  const Parameters& switching = parameters.switching();
  BAUTA_TRY(const Envelope envelope,
            open_envelope(bytes, {.type = type,
                                  .parameters = parameters.digest(),
                                  .max_payload_bytes =
                                      switching_key_payload_bytes(switching, parameters.shape())}));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(SwitchingKey key,
            read_switching_key_payload(reader, switching, parameters.shape(), envelope.key_id));
  BAUTA_CHECK(reader.finish());
  return RingSwitchKey{std::move(key)};
}

RingSwitcher::RingSwitcher(const RingSwitchParameters& parameters)
    : parameters_(parameters), switcher_(parameters.switching(), parameters.shape()) {}

// With the small secret s in X^k, k = N/n, c0 + c1*s(X^k) splits by the residues of exponents
// modulo k, and part 0 is thinned(c0) + thinned(c1)*s.
CoefficientCiphertext RingSwitcher::apply(const EvaluationCiphertext& ciphertext,
                                          const RingSwitchKey& key, ThreadPool* pool) const {
  BAUTA_ASSERT(ciphertext.key_id == key.key.from);
  const ring::Basis basis = parameters_.small().ciphertext_moduli();
  BAUTA_ASSERT(ciphertext.c0.degree() == parameters_.large().degree() &&
               ciphertext.limbs() >= basis.size());
  EvaluationCiphertext source = ciphertext.clone();
  source.c0.keep_limbs(basis.size());
  source.c1.keep_limbs(basis.size());
  PolynomialPair pair = switcher_.switch_key(source.c1, key.key, {.addend = &source.c0}, pool);
  return {thinned(to_coefficient(std::move(pair.u0), pool), parameters_.factor(), basis),
          thinned(to_coefficient(std::move(pair.u1), pool), parameters_.factor(), basis),
          ciphertext.scale, key.key.to};
}

}  // namespace bauta::ckks
