#include "ckks/ring_switch.h"

#include <cmath>

#include "base/random.h"
#include "ckks/noise.h"
#include "ckks/parser_checks.h"
#include "ckks/test_parameters.h"
#include "ring/primes.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::secret {
namespace {

using ckks::Parameters;
using ckks::RingSwitchParameters;
using testing::HasSubstr;

const Parameters& gallery() {
  static const Parameters parameters = *Parameters::create(ckks::gallery_literal());
  return parameters;
}

// The gallery's primes first, levels of 29 bits, four special primes: about 460 bits.
const Parameters& image_ring() {
  static const Parameters parameters = [] {
    ckks::ParametersLiteral literal{.degree = 32768,
                                    .primes = gallery().primes(),
                                    .special_primes = *ring::primes_below(1071000000, 4)};
    const std::vector<uint32_t> levels = *ring::primes_near(1u << 29, 8);
    literal.primes.insert(literal.primes.end(), levels.begin(), levels.end());
    return *Parameters::create(literal);
  }();
  return parameters;
}

SecretKey key_of(const Parameters& parameters, std::string_view purpose) {
  SecretBytes seed = *SecretBytes::create(kSeedBytes);
  seed.data()[0] = 5;
  auto key = SecretKey::expand(parameters, seed, purpose);
  BAUTA_ASSERT(key.ok());
  return std::move(key).value();
}

RingSwitchParameters gallery_switch() {
  return *RingSwitchParameters::create(image_ring(), gallery(), gallery().special_primes());
}

TEST(RingSwitch, TakesTheCoefficientsAtTheMultiples) {
  const RingSwitchParameters parameters = gallery_switch();
  EXPECT_EQ(parameters.factor(), 8u);
  const SecretKey large = key_of(image_ring(), "image ring");
  const SecretKey small = key_of(gallery(), "tenant");
  const auto key = generate_ring_switch_key(parameters, large, small);
  ASSERT_TRUE(key.ok());
  ckks::Message message{std::vector<int64_t>(32768), 1};
  for (int64_t& coefficient : message.coefficients)
    coefficient = static_cast<int64_t>(random_below(1u << 28)) - (1 << 27);
  const ckks::RingSwitcher switcher(parameters);
  for (const size_t limbs : {2, 4}) {
    const auto ciphertext = to_evaluation(expand(*encrypt(large, message, limbs)));
    const ckks::CoefficientCiphertext switched = switcher.apply(ciphertext, *key);
    EXPECT_EQ(switched.key_id, small.id());
    const auto decrypted = decrypt(small, switched);
    ASSERT_TRUE(decrypted.ok());
    double squares = 0;
    for (size_t i = 0; i < 4096; ++i) {
      const ring::Modulus& modulus = decrypted->basis().modulus(0);
      const auto residue = int64_t{decrypted->limb(0)[i]};
      const int64_t value = residue > modulus.value() / 2 ? residue - modulus.value() : residue;
      squares += std::pow(static_cast<double>(value - message.coefficients[8 * i]), 2);
    }
    // Each key switch is in the large ring, the rounding errors meet the small secret.
    const double predicted = std::sqrt(
        ckks::NoiseModel(image_ring()).fresh_secret() + ckks::NoiseModel(gallery()).division() +
        ckks::NoiseModel(parameters.switching()).key_switch(parameters.shape()));
    EXPECT_NEAR(std::sqrt(squares / 4096) / predicted, 1, 0.1);
  }
}

TEST(RingSwitch, CreateFailsWithTheSpecialPrimesOfTheLargeRing) {
  // Fine for dimension 32768, but the key hides a secret of dimension 4096.
  const auto parameters =
      RingSwitchParameters::create(image_ring(), gallery(), image_ring().special_primes());
  ASSERT_FALSE(parameters.ok());
  EXPECT_THAT(parameters.error().message, HasSubstr("dimension 4096"));
}

TEST(RingSwitch, CreateFailsIfTheRingsDoNotFit) {
  const std::vector<uint32_t>& special = gallery().special_primes();
  EXPECT_FALSE(RingSwitchParameters::create(gallery(), image_ring(), special).ok());
  EXPECT_FALSE(RingSwitchParameters::create(gallery(), gallery(), special).ok());
  EXPECT_FALSE(RingSwitchParameters::create(image_ring(), gallery(), {}).ok());
  ckks::ParametersLiteral literal = ckks::gallery_literal();
  std::swap(literal.primes[0], literal.primes[1]);
  EXPECT_FALSE(
      RingSwitchParameters::create(image_ring(), *Parameters::create(literal), special).ok());
}

TEST(RingSwitchKey, SerialisesAndParses) {
  const RingSwitchParameters parameters = gallery_switch();
  const auto key = generate_ring_switch_key(parameters, key_of(image_ring(), "image ring"),
                                            key_of(gallery(), "tenant"));
  ASSERT_TRUE(key.ok());
  const Bytes bytes = serialize(parameters, *key);
  const auto parsed = parse_ring_switch_key(parameters, bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->key.b == key->key.b && parsed->key.a == key->key.a);
  EXPECT_EQ(parsed->key.from, key->key.from);
  ckks::expect_parser_refuses_damage(
      bytes, [&](ByteView damaged) { return parse_ring_switch_key(parameters, damaged); });
}

// docs/formats/objects.md
TEST(RingSwitchKey, KnownAnswer) {
  Randomness randomness = Randomness::insecure_fixed(8);
  const ckks::Parameters large = ckks::insecure_parameters(2048, 3, 1);
  const ckks::Parameters small = ckks::insecure_parameters(1024, 2, 1);
  const auto parameters = RingSwitchParameters::create(large, small, {8257537, 7340033});
  const auto key = generate_ring_switch_key(*parameters, key_of(large, "image ring"),
                                            key_of(small, "tenant"), randomness);
  EXPECT_EQ(to_hex(sha256(serialize(*parameters, *key))),
            "0fd9e654e43359321a36c1886376bde2a4f5347519e4701d4508792da190e961");
}

TEST(PublicKey, SerialisesAndParses) {
  const SecretKey secret = key_of(gallery(), "tenant");
  const auto key = generate_public_key(secret);
  ASSERT_TRUE(key.ok());
  const Bytes bytes = serialize(gallery(), *key);
  const auto parsed = parse_public_key(gallery(), bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->b == key->b && parsed->a == key->a);
  // Type 5 is the one that damage is relabelled to, so only the truncations and flips here.
  for (size_t i = 0; i < bytes.size(); i += 997) {
    EXPECT_FALSE(parse_public_key(gallery(), ByteView(bytes).first(i)).ok());
    Bytes flipped = bytes;
    flipped[i] ^= 4;
    EXPECT_FALSE(parse_public_key(gallery(), flipped).ok());
  }
}

}  // namespace
}  // namespace bauta::secret
