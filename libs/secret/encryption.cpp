#include "secret/encryption.h"

#include "ring/base_conversion.h"

namespace bauta::secret {
namespace {

// Constant time.
template <typename Integer>
void add_message(ring::CoefficientPolynomial& target, std::span<const Integer> message) {
  for (size_t i = 0; i < target.limb_count(); ++i) {
    const ring::Modulus& modulus = target.basis().modulus(i);
    const ring::Limb limb = target.limb(i);
    for (size_t j = 0; j < limb.size(); ++j)
      limb[j] = modulus.add(limb[j], modulus.reduce_signed(message[j]));
  }
}

template <typename Integer>
Result<ckks::SeededCiphertext> encrypt_integers(const SecretKey& key,
                                                std::span<const Integer> message, size_t limbs,
                                                double scale, Randomness& randomness) {
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

Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, std::span<const int32_t> message,
                                       size_t limbs, double scale, Randomness& randomness) {
  return encrypt_integers(key, message, limbs, scale, randomness);
}

Result<ckks::SeededCiphertext> encrypt(const SecretKey& key, const ckks::Message& message,
                                       size_t limbs, Randomness& randomness) {
  return encrypt_integers(key, std::span<const int64_t>(message.coefficients), limbs, message.scale,
                          randomness);
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
  add_message(ciphertext.c0, std::span<const int64_t>(message.coefficients));
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
