#include "secret/key_generation.h"

#include <algorithm>

#include "simd/kernels.h"

namespace bauta::secret {
namespace {

using LockedLimb = SecretArray<uint32_t>;

// The secret modulo one prime, evaluated.
void evaluate_limb(const ring::SmallSecret& secret, const ring::NttTables& ntt, LockedLimb& out) {
  ring::lift(secret, ntt.modulus(), out.span());
  ntt.forward(out.span());
}

// target = -(uniform * secret + error), all modulo one prime and evaluated; scratch is overwritten.
void encrypt_zero(ring::Limb target, ring::ConstLimb uniform, const LockedLimb& secret,
                  const ring::SmallSecret& error, const ring::NttTables& ntt, LockedLimb& scratch) {
  const simd::Kernels& kernels = simd::kernels();
  const simd::ModulusConstants& modulus = ntt.modulus().constants();
  evaluate_limb(error, ntt, scratch);
  kernels.multiply_add(scratch.data(), uniform.data(), secret.data(), target.size(), modulus);
  kernels.negate(target.data(), scratch.data(), target.size(), modulus);
}

// The product of the special moduli of the basis modulo its i-th.
uint32_t special_product(const ring::Basis& basis, size_t limbs, size_t i) {
  const ring::Modulus& modulus = basis.modulus(i);
  uint32_t product = 1;
  for (size_t k = limbs; k < basis.size(); ++k)
    product = modulus.multiply(product, modulus.reduce(basis.modulus(k).value()));
  return product;
}

// What a key leads from and to; square: from the square of `from`.
struct Secrets {
  const ring::SmallSecret& from;
  const ring::SmallSecret& to;
  bool square = false;
};

// One modulus after the other, so that only three limbs are locked at a time.
Result<ckks::SwitchingKey> generate(const ckks::Parameters& parameters, const Secrets& secrets,
                                    const ckks::KeyId& from_id, const ckks::KeyId& to_id,
                                    const ckks::KeySwitchShape& shape, Randomness& randomness) {
  BAUTA_CHECK(ckks::check_shape(parameters, shape));
  const ring::Basis basis = shape.basis(parameters);
  const size_t degree = basis.degree();
  ckks::SwitchingKey key{.shape = shape,
                         .from = from_id,
                         .to = to_id,
                         .seed = randomness.public_seed(),
                         .b = {},
                         .a = {}};
  expand_uniform_halves(parameters, key);
  BAUTA_TRY(const ring::SecretSeed error_seed, randomness.secret_seed());
  std::vector<ring::SmallSecret> errors;
  for (size_t d = 0; d < shape.digits(); ++d) {
    BAUTA_TRY(errors.emplace_back(),
              ring::sample_error(error_seed, "bauta switching key error", d, degree));
    key.b.push_back(ring::EvaluationPolynomial::uninitialised(basis));
  }
  BAUTA_TRY(LockedLimb from, LockedLimb::create(degree));
  BAUTA_TRY(LockedLimb to, LockedLimb::create(degree));
  BAUTA_TRY(LockedLimb scratch, LockedLimb::create(degree));
  for (size_t i = 0; i < basis.size(); ++i) {
    const ring::NttTables& ntt = basis.ntt(i);
    evaluate_limb(secrets.to, ntt, to);
    for (size_t d = 0; d < shape.digits(); ++d)
      encrypt_zero(key.b[d].limb(i), key.a[d].limb(i), to, errors[d], ntt, scratch);
    if (i >= shape.limbs) continue;
    // P * from into the digit that this modulus belongs to.
    const simd::Kernels& kernels = simd::kernels();
    const simd::ModulusConstants& modulus = ntt.modulus().constants();
    evaluate_limb(secrets.from, ntt, from);
    if (secrets.square) kernels.multiply(from.data(), from.data(), from.data(), degree, modulus);
    const uint32_t factor = special_product(basis, shape.limbs, i);
    kernels.multiply_constant(from.data(), from.data(), ntt.modulus().shoup(factor), degree,
                              modulus);
    uint32_t* limb = key.b[i / shape.digit_limbs].limb(i).data();
    kernels.add(limb, limb, from.data(), degree, modulus);
  }
  return key;
}

}  // namespace

Result<ckks::SwitchingKey> generate_switching_key(const SecretKey& from, const SecretKey& to,
                                                  const ckks::KeySwitchShape& shape,
                                                  Randomness& randomness) {
  BAUTA_ASSERT(from.parameters() == to.parameters());
  return generate(to.parameters(), {from.coefficients(), to.coefficients()}, from.id(), to.id(),
                  shape, randomness);
}

Result<ckks::GaloisKey> generate_galois_key(const SecretKey& key, uint32_t element,
                                            const ckks::KeySwitchShape& shape,
                                            Randomness& randomness) {
  const size_t degree = key.parameters().degree();
  BAUTA_ASSERT(element % 2 == 1 && element < 2 * degree);
  BAUTA_TRY(
      const ring::SmallSecret image,
      ring::apply_automorphism(key.coefficients(), ckks::inverse_galois_element(element, degree)));
  BAUTA_TRY(ckks::SwitchingKey switching, generate(key.parameters(), {key.coefficients(), image},
                                                   key.id(), key.id(), shape, randomness));
  return ckks::GaloisKey{element, std::move(switching)};
}

Result<ckks::RelinearizationKey> generate_relinearization_key(const SecretKey& key,
                                                              const ckks::KeySwitchShape& shape,
                                                              Randomness& randomness) {
  BAUTA_TRY(ckks::SwitchingKey switching,
            generate(key.parameters(), {key.coefficients(), key.coefficients(), /*square=*/true},
                     key.id(), key.id(), shape, randomness));
  return ckks::RelinearizationKey{std::move(switching)};
}

Result<ckks::PublicKey> generate_public_key(const SecretKey& key, Randomness& randomness) {
  const ring::Basis& moduli = key.parameters().all_moduli();
  BAUTA_TRY(const ring::SecretSeed error_seed, randomness.secret_seed());
  BAUTA_TRY(const ring::SmallSecret error,
            ring::sample_error(error_seed, "bauta public key error", 0, moduli.degree()));
  ckks::PublicKey public_key;
  public_key.key_id = key.id();
  public_key.seed = randomness.public_seed();
  public_key.a = ring::sample_uniform<ring::Form::evaluation>(public_key.seed,
                                                              ckks::kPublicKeyPurpose, 0, moduli);
  public_key.b = ring::EvaluationPolynomial::uninitialised(moduli);
  BAUTA_TRY(LockedLimb secret, LockedLimb::create(moduli.degree()));
  BAUTA_TRY(LockedLimb scratch, LockedLimb::create(moduli.degree()));
  for (size_t i = 0; i < moduli.size(); ++i) {
    evaluate_limb(key.coefficients(), moduli.ntt(i), secret);
    encrypt_zero(public_key.b.limb(i), public_key.a.limb(i), secret, error, moduli.ntt(i), scratch);
  }
  return public_key;
}

Result<ckks::RingSwitchKey> generate_ring_switch_key(const ckks::RingSwitchParameters& parameters,
                                                     const SecretKey& from, const SecretKey& to,
                                                     Randomness& randomness) {
  BAUTA_ASSERT(from.parameters() == parameters.large() && to.parameters() == parameters.small());
  BAUTA_TRY(ring::SmallSecret spread, ring::SmallSecret::create(from.coefficients().size()));
  for (size_t i = 0; i < to.coefficients().size(); ++i)  // s(X^factor)
    spread.data()[parameters.factor() * i] = to.coefficients().data()[i];
  BAUTA_TRY(ckks::SwitchingKey switching,
            generate(parameters.switching(), {from.coefficients(), spread}, from.id(), to.id(),
                     parameters.shape(), randomness));
  return ckks::RingSwitchKey{std::move(switching)};
}

}  // namespace bauta::secret
