#include "secret/key_generation.h"

#include <algorithm>

#include "simd/kernels.h"

namespace bauta::secret {
namespace {

// Limb by limb times the product of the special moduli: s becomes P*s.
void multiply_by_special(ring::SecretValues& secret, const ring::Basis& special) {
  for (size_t i = 0; i < secret.limb_count(); ++i) {
    const ring::Modulus& modulus = secret.basis().modulus(i);
    uint32_t product = 1;
    for (const uint32_t prime : special.moduli())
      product = modulus.multiply(product, modulus.reduce(prime));
    const ring::Limb limb = secret.limb(i);
    simd::kernels().multiply_constant(limb.data(), limb.data(), modulus.shoup(product), limb.size(),
                                      modulus.constants());
  }
}

// -(e + a*to). The error goes in first, so that a*to, which gives the secret away, never stands
// alone.
Result<ring::EvaluationPolynomial> encrypt_zero(const ring::EvaluationPolynomial& uniform,
                                                const ring::SecretValues& to,
                                                const ring::SecretSeed& error_seed,
                                                uint64_t index) {
  BAUTA_TRY(const ring::SmallSecret error,
            ring::sample_error(error_seed, "bauta switching key error", index, to.degree()));
  auto masked = ring::EvaluationPolynomial::zero(uniform.basis());
  BAUTA_CHECK(add_in_place(masked, error));
  multiply_add(masked, uniform, to);
  negate_in_place(masked);
  return masked;
}

// from: at the limbs of the shape; used up. to: at the shape's basis.
Result<ckks::SwitchingKey> generate(const ckks::Parameters& parameters, ring::SecretValues&& from,
                                    const ckks::KeyId& from_id, const ring::SecretValues& to,
                                    const ckks::KeyId& to_id, const ckks::KeySwitchShape& shape,
                                    Randomness& randomness) {
  ckks::SwitchingKey key{.shape = shape,
                         .from = from_id,
                         .to = to_id,
                         .seed = randomness.public_seed(),
                         .b = {},
                         .a = {}};
  expand_uniform_halves(parameters, key);
  multiply_by_special(from, to.basis().slice(shape.limbs, shape.special_count));
  BAUTA_TRY(const ring::SecretSeed error_seed, randomness.secret_seed());
  for (size_t d = 0; d < shape.digits(); ++d) {
    BAUTA_TRY(ring::EvaluationPolynomial digit, encrypt_zero(key.a[d], to, error_seed, d));
    const size_t end = std::min((d + 1) * shape.digit_limbs, shape.limbs);
    for (size_t i = d * shape.digit_limbs; i < end; ++i) {
      const ring::Limb limb = digit.limb(i);
      simd::kernels().add(limb.data(), limb.data(), from.limb(i).data(), limb.size(),
                          digit.basis().constants(i));
    }
    key.b.push_back(std::move(digit));
  }
  return key;
}

}  // namespace

Result<ckks::SwitchingKey> generate_switching_key(const SecretKey& from, const SecretKey& to,
                                                  const ckks::KeySwitchShape& shape,
                                                  Randomness& randomness) {
  const ckks::Parameters& parameters = to.parameters();
  BAUTA_ASSERT(from.parameters() == parameters);
  BAUTA_CHECK(ckks::check_shape(parameters, shape));
  const ring::Basis basis = shape.basis(parameters);
  BAUTA_TRY(ring::SecretValues from_values,
            ring::evaluate(from.coefficients(), basis.prefix(shape.limbs)));
  BAUTA_TRY(const ring::SecretValues to_values, ring::evaluate(to.coefficients(), basis));
  return generate(parameters, std::move(from_values), from.id(), to_values, to.id(), shape,
                  randomness);
}

Result<ckks::GaloisKey> generate_galois_key(const SecretKey& key, uint32_t element,
                                            const ckks::KeySwitchShape& shape,
                                            Randomness& randomness) {
  const ckks::Parameters& parameters = key.parameters();
  BAUTA_ASSERT(element % 2 == 1 && element < 2 * parameters.degree());
  BAUTA_CHECK(ckks::check_shape(parameters, shape));
  const ring::Basis basis = shape.basis(parameters);
  const uint32_t inverse = ckks::inverse_galois_element(element, parameters.degree());
  BAUTA_TRY(const ring::SmallSecret image, ring::apply_automorphism(key.coefficients(), inverse));
  BAUTA_TRY(ring::SecretValues from, ring::evaluate(key.coefficients(), basis.prefix(shape.limbs)));
  BAUTA_TRY(const ring::SecretValues to, ring::evaluate(image, basis));
  BAUTA_TRY(ckks::SwitchingKey switching,
            generate(parameters, std::move(from), key.id(), to, key.id(), shape, randomness));
  return ckks::GaloisKey{element, std::move(switching)};
}

Result<ckks::RelinearizationKey> generate_relinearization_key(const SecretKey& key,
                                                              const ckks::KeySwitchShape& shape,
                                                              Randomness& randomness) {
  const ckks::Parameters& parameters = key.parameters();
  BAUTA_CHECK(ckks::check_shape(parameters, shape));
  const ring::Basis basis = shape.basis(parameters);
  BAUTA_TRY(ring::SecretValues square,
            ring::evaluate(key.coefficients(), basis.prefix(shape.limbs)));
  BAUTA_TRY(const ring::SecretValues to, ring::evaluate(key.coefficients(), basis));
  multiply_in_place(square, to);
  BAUTA_TRY(ckks::SwitchingKey switching,
            generate(parameters, std::move(square), key.id(), to, key.id(), shape, randomness));
  return ckks::RelinearizationKey{std::move(switching)};
}

}  // namespace bauta::secret
