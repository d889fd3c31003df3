#include "secret/encryption.h"

#include "ring/base_conversion.h"

namespace bauta::secret {
namespace {

// Without the message.
Result<ckks::SeededCiphertext> encrypt_zero(const SecretKey& key, size_t limbs, double scale,
                                            Randomness& randomness) {
  const ckks::Parameters& parameters = key.parameters();
  BAUTA_ASSERT(limbs >= 1 && limbs <= parameters.primes().size());
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
  // -(e + a*s). The error goes in first, so that a*s, which gives s away, never stands alone.
  auto masked = ring::EvaluationPolynomial::zero(basis);
  BAUTA_CHECK(add_in_place(masked, error));
  BAUTA_CHECK(multiply_add(masked, uniform, key.coefficients()));
  ciphertext.c0 = to_coefficient(std::move(masked));
  negate_in_place(ciphertext.c0);
  return ciphertext;
}

// sample_limb * ephemeral + error, divided by P: one half of a public-key encryption of zero. `row`
// gives the half of the public key at modulus i of the basis.
template <typename Row>
Result<ring::CoefficientPolynomial> encrypt_half(const ring::Basis& basis, size_t limbs, Row row,
                                                 const ring::SmallSecret& ephemeral,
                                                 const ring::SmallSecret& error) {
  auto half = ring::EvaluationPolynomial::uninitialised(basis);
  for (size_t i = 0; i < basis.size(); ++i) std::ranges::copy(row(i), half.limb(i).begin());
  auto masked = ring::EvaluationPolynomial::zero(basis);
  BAUTA_CHECK(add_in_place(masked, error));
  BAUTA_CHECK(multiply_add(masked, half, ephemeral));
  const ring::RoundedDivision division(basis.prefix(limbs),
                                       basis.slice(limbs, basis.size() - limbs));
  return division.apply(to_coefficient(std::move(masked)));
}

}  // namespace

// The message, which lies in locked memory, is added number by number and leaves no copy.
Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, std::span<const int32_t> message,
                                       size_t limbs, double scale, Randomness& randomness) {
  BAUTA_ASSERT(message.size() == key.parameters().degree());
  BAUTA_TRY(ckks::SeededCiphertext ciphertext, encrypt_zero(key, limbs, scale, randomness));
  for (size_t i = 0; i < limbs; ++i) {
    const ring::Modulus& modulus = ciphertext.c0.basis().modulus(i);
    const ring::Limb limb = ciphertext.c0.limb(i);
    for (size_t j = 0; j < limb.size(); ++j)
      limb[j] = modulus.add(limb[j], modulus.reduce_signed(message[j]));
  }
  return ciphertext;
}

Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, const ckks::Message& message,
                                       size_t limbs, Randomness& randomness) {
  BAUTA_TRY(ckks::SeededCiphertext ciphertext, encrypt_zero(key, limbs, message.scale, randomness));
  add_signed(ciphertext.c0, message.coefficients);
  return ciphertext;
}

Result<ckks::CoefficientCiphertext> encrypt_public(const ckks::Parameters& parameters,
                                                   const ckks::PublicKey& key,
                                                   const ckks::Message& message, size_t limbs,
                                                   Randomness& randomness) {
  const size_t primes = parameters.primes().size();
  BAUTA_ASSERT(limbs >= 1 && limbs <= primes && !parameters.special_primes().empty());
  const ring::Basis basis =
      parameters.all_moduli().prefix(limbs).joined(parameters.special_moduli());
  BAUTA_TRY(const ring::SecretSeed seed, randomness.secret_seed());
  BAUTA_TRY(const ring::SmallSecret ephemeral,
            ring::sample_ternary(seed, "bauta public encryption", 0, basis.degree()));
  BAUTA_TRY(const ring::SmallSecret error0,
            ring::sample_error(seed, "bauta public encryption", 1, basis.degree()));
  BAUTA_TRY(const ring::SmallSecret error1,
            ring::sample_error(seed, "bauta public encryption", 2, basis.degree()));
  // Which limb of the key stands at modulus i.
  const auto at = [&](size_t i) { return i < limbs ? i : i - limbs + primes; };
  ckks::CoefficientCiphertext ciphertext;
  BAUTA_TRY(ciphertext.c0,
            encrypt_half(
                basis, limbs, [&](size_t i) { return key.b.limb(at(i)); }, ephemeral, error0));
  BAUTA_TRY(ciphertext.c1,
            encrypt_half(
                basis, limbs, [&](size_t i) { return key.a.limb(at(i)); }, ephemeral, error1));
  add_signed(ciphertext.c0, message.coefficients);
  ciphertext.scale = message.scale;
  ciphertext.key_id = key.key_id;
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
