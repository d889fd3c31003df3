// Runs everything of this library on poisoned secrets (see bauta_constant_time_test).
#include <cstdio>
#include <string_view>

#include "base/poison.h"
#include "ckks/test_parameters.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::secret {
namespace {

ckks::Parameters gallery() {
  return ckks::Parameters::create(ckks::gallery_literal()).value();
}

// From the seed on; the id is published.
SecretKey poisoned_key(const ckks::Parameters& parameters, std::string_view purpose) {
  SecretBytes seed = SecretBytes::create(kSeedBytes).value();
  poison(seed.span());
  SecretKey key = SecretKey::expand(parameters, seed, purpose).value();
  unpoison(std::span<uint8_t>(const_cast<ckks::KeyId&>(key.id()).bytes));
  return key;
}

template <ring::Form form>
void publish(ring::RnsPolynomial<form>& polynomial) {
  for (size_t i = 0; i < polynomial.limb_count(); ++i) unpoison(polynomial.limb(i));
}

void publish(ckks::SwitchingKey& key) {
  for (ring::EvaluationPolynomial& digit : key.b) publish(digit);
}

void generate_keys(const ckks::Parameters& parameters, const SecretKey& edge,
                   const SecretKey& tenant) {
  const ckks::KeySwitchShape shape = ckks::top_shape(parameters, 1);
  ckks::SwitchingKey switching_key = generate_switching_key(edge, tenant, shape).value();
  publish(switching_key);
  (void)serialize(parameters, switching_key);
  ckks::GaloisKey galois_key = generate_galois_key(tenant, 65, shape).value();
  publish(galois_key.key);
  (void)serialize(parameters, galois_key);
  ckks::RelinearizationKey relinearization_key =
      generate_relinearization_key(tenant, shape).value();
  publish(relinearization_key.key);
  (void)serialize(parameters, relinearization_key);
}

void encrypt_and_decrypt(const ckks::Parameters& parameters, const SecretKey& key) {
  SecretArray<int32_t> reference = SecretArray<int32_t>::create(parameters.degree()).value();
  poison(reference.span());
  ckks::SeededCiphertext seeded = encrypt(key, reference.span(), 2, 1).value();
  publish(seeded.c0);
  (void)serialize(parameters, seeded);
  (void)decrypt(key, expand(seeded)).value();

  ckks::Message message{std::vector<int64_t>(parameters.degree()), 1};
  poison(std::span(message.coefficients));
  (void)encrypt(key, message, 1).value();
  ckks::PublicKey public_key = generate_public_key(key).value();
  publish(public_key.b);
  (void)encrypt_public(parameters, public_key, message, 2).value();
}

// The image ring's secret and the gallery's, at toy sizes.
void generate_ring_switch(const ckks::Parameters& large, const ckks::Parameters& small) {
  const auto parameters =
      ckks::RingSwitchParameters::create(large, small, {8257537, 7340033}).value();
  ckks::RingSwitchKey key = generate_ring_switch_key(parameters, poisoned_key(large, "image ring"),
                                                     poisoned_key(small, "tenant"))
                                .value();
  publish(key.key);
  (void)serialize(parameters, key);
}

// Must be reported.
bool branch_on_a_secret() {
  return poisoned_key(gallery(), "tenant").coefficients().data()[0] == 1;
}

}  // namespace
}  // namespace bauta::secret

int main(int argc, char** argv) {
  using namespace bauta::secret;
  if (argc > 1 && std::string_view(argv[1]) == "control") {
    std::puts(branch_on_a_secret() ? "one" : "not one");
    return 0;
  }
  const auto parameters = gallery();
  const SecretKey edge = poisoned_key(parameters, "edge 1");
  const SecretKey tenant = poisoned_key(parameters, "tenant");
  generate_keys(parameters, edge, tenant);
  encrypt_and_decrypt(parameters, tenant);
  generate_ring_switch(bauta::ckks::insecure_parameters(2048, 3, 1),
                       bauta::ckks::insecure_parameters(1024, 2, 1));
  return 0;
}
