#include "secret/encryption.h"

namespace bauta::secret {
namespace {

// Constant time.
void add_message(ring::CoefficientPolynomial& target, std::span<const int32_t> message) {
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const ring::Modulus& modulus = target.basis().modulus(i);
    const ring::Limb limb = target.limb(i);
    for (size_t j = 0; j < limb.size(); ++j)
      limb[j] = modulus.add(limb[j], modulus.reduce_signed(message[j]));
  }
}

}  // namespace

Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, std::span<const int32_t> message,
                                       size_t limbs, double scale, Randomness& randomness) {
  const ckks::Parameters& parameters = key.parameters();
  BAUTA_ASSERT(limbs >= 1 && limbs <= parameters.primes().size());
  BAUTA_ASSERT(message.size() == parameters.degree());
  const ring::Basis basis = parameters.ciphertext_moduli().prefix(limbs);
  ckks::SeededCiphertext ciphertext;
  ciphertext.seed = randomness.public_seed();
  ciphertext.scale = scale;
  ciphertext.key_id = key.id();

  const ring::EvaluationPolynomial uniform =
      to_evaluation(ring::sample_uniform<ring::Form::coefficient>(
          ciphertext.seed, ckks::kCiphertextPurpose, 0, basis));
  BAUTA_TRY(const ring::SecretSeed seed, randomness.secret_seed());
  BAUTA_TRY(const ring::SmallSecret error,
            ring::sample_error(seed, "bauta encryption error", 0, basis.degree()));
  // -(e + a*s) + m. The error goes in first, so that a*s, which gives s away, never stands alone.
  auto masked = ring::EvaluationPolynomial::zero(basis);
  BAUTA_CHECK(add_in_place(masked, error));
  BAUTA_CHECK(multiply_add(masked, uniform, key.coefficients()));
  ciphertext.c0 = to_coefficient(std::move(masked));
  negate_in_place(ciphertext.c0);
  add_message(ciphertext.c0, message);
  return ciphertext;
}

Result<ring::SecretCoefficients> decrypt(const SecretKey& key,
                                         const ckks::CoefficientCiphertext& ciphertext) {
  BAUTA_CHECK(ckks::check_key_id("ciphertext", ciphertext.key_id, key.id()));
  BAUTA_TRY(ring::SecretValues product, ring::evaluate(key.coefficients(), ciphertext.c1.basis()));
  multiply_in_place(product, to_evaluation(ciphertext.c1.clone()));
  ring::SecretCoefficients message = to_coefficient(std::move(product));
  add_in_place(message, ciphertext.c0);
  return message;
}

}  // namespace bauta::secret
