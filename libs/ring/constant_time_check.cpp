// Runs everything of this library that touches secrets on poisoned ones (see
// bauta_constant_time_test).
#include <cstdio>
#include <string_view>

#include "base/poison.h"
#include "ring/automorphism.h"
#include "ring/base_conversion.h"
#include "ring/sampler.h"
#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

// From the seed on, so that the keystream is covered too.
SecretSeed poisoned_seed(uint64_t number) {
  std::array<uint8_t, kSeedBytes> bytes{};
  bytes[0] = static_cast<uint8_t>(number);
  poison(std::span<uint8_t>(bytes));
  return SecretSeed::derived(bytes).value();
}

void sample_and_encrypt() {
  const Basis basis = gallery_basis();
  const SecretSeed seed = poisoned_seed(1);
  const SmallSecret key = sample_ternary(seed, "check key", 0, basis.degree()).value();
  const SmallSecret error = sample_error(seed, "check error", 0, basis.degree()).value();

  // b = a s + e, the secret in both of its forms.
  const auto a = sample_uniform<Form::evaluation>(PublicSeed{}, "check", 0, basis);
  auto b = EvaluationPolynomial::zero(basis);
  BAUTA_ASSERT(multiply_add(b, a, key).ok());
  BAUTA_ASSERT(add_in_place(b, error).ok());
  const SecretValues values = evaluate(key, basis).value();
  multiply_add(b, a, values);
  add_in_place(b, values);
  for (size_t i = 0; i < basis.size(); ++i) unpoison(b.limb(i));

  SecretValues square = evaluate(apply_automorphism(key, 5).value(), basis).value();
  multiply_in_place(square, values);
  SecretCoefficients coefficients = to_coefficient(std::move(square));
  unpoison(coefficients.limb(0));

  // Small moduli take another path through lift.
  const Modulus modulus = Modulus::create(17).value();
  lift(key, modulus, coefficients.limb(1));
}

void decrypt_and_round() {
  std::mt19937_64 random(1);
  const Basis basis = gallery_basis();
  auto phase = random_polynomial<Form::coefficient>(random, basis);
  for (size_t i = 0; i < basis.size(); ++i) poison(phase.limb(i));
  const auto message = RoundedDivision(basis.prefix(2), basis.slice(2, 2)).apply(std::move(phase));
  const auto small = RoundedDivision(basis.prefix(1), basis.slice(1, 1))
                         .apply(to_coefficient(to_evaluation(message.clone())));
  const auto image = apply_automorphism(to_evaluation(small.clone()), 77);
  std::vector<int64_t> plaintext(basis.degree());
  poison(std::span<int64_t>(plaintext));
  auto encoded = from_signed(plaintext, basis);
  multiply_monomial_add(encoded, encoded.clone(), 100);
}

// Must be reported.
bool branch_on_a_secret() {
  const SmallSecret key = sample_ternary(poisoned_seed(1), "check key", 0, 16).value();
  return key.data()[0] == 1;
}

}  // namespace
}  // namespace bauta::ring

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "control") {
    std::puts(bauta::ring::branch_on_a_secret() ? "one" : "not one");
    return 0;
  }
  bauta::ring::sample_and_encrypt();
  bauta::ring::decrypt_and_round();
  return 0;
}
