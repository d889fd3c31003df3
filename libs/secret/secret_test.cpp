#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "ckks/envelope.h"
#include "ckks/key_switching.h"
#include "ckks/test_parameters.h"
#include "ring/automorphism.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::secret {
namespace {

using ckks::CoefficientCiphertext;
using ckks::Parameters;
using testing::HasSubstr;

const Parameters& gallery() {
  static const Parameters parameters = *Parameters::create(ckks::gallery_literal());
  return parameters;
}

SecretKey key_of(const Parameters& parameters, uint8_t number, std::string_view purpose) {
  SecretBytes seed = *SecretBytes::create(kSeedBytes);
  seed.data()[0] = number;
  auto key = SecretKey::expand(parameters, seed, purpose);
  BAUTA_ASSERT(key.ok());
  return std::move(key).value();
}

std::vector<int32_t> some_message(size_t degree) {
  std::vector<int32_t> message(degree);
  for (size_t i = 0; i < degree; ++i)
    message[i] = static_cast<int32_t>(random_below(1 << 27)) - (1 << 26);
  return message;
}

// Centred value modulo the first two primes (or the only one).
double centred(const ring::SecretCoefficients& message, size_t i) {
  const ring::Basis& basis = message.basis();
  const auto q0 = int64_t{basis.modulus(0).value()};
  const auto r0 = int64_t{message.limb(0)[i]};
  if (basis.size() == 1) return static_cast<double>(r0 > q0 / 2 ? r0 - q0 : r0);
  const ring::Modulus& second = basis.modulus(1);
  const auto q1 = int64_t{second.value()};
  const uint32_t difference = second.subtract(message.limb(1)[i], second.reduce_signed(r0));
  const int64_t digit = second.multiply(difference, second.inverse(second.reduce_signed(q0)));
  const int64_t value = r0 + q0 * digit;
  const int64_t product = q0 * q1;
  return static_cast<double>(value > product / 2 ? value - product : value);
}

struct Noise {
  double rms = 0, max = 0;
};

// How far the decryption lies from factor * message.
Noise noise_of(const SecretKey& key, const CoefficientCiphertext& ciphertext,
               const std::vector<int32_t>& message) {
  const auto decrypted = decrypt(key, ciphertext);
  BAUTA_ASSERT(decrypted.ok());
  Noise noise;
  for (size_t i = 0; i < message.size(); ++i) {
    const double error = centred(*decrypted, i) - message[i];
    noise.rms += error * error;
    noise.max = std::max(noise.max, std::abs(error));
  }
  noise.rms = std::sqrt(noise.rms / static_cast<double>(message.size()));
  return noise;
}

CoefficientCiphertext encrypted(const SecretKey& key, const std::vector<int32_t>& message,
                                size_t limbs) {
  return expand(*encrypt(key, message, limbs, 1));
}

CoefficientCiphertext from_pair(ckks::PolynomialPair&& pair, const ckks::KeyId& key_id) {
  return {to_coefficient(std::move(pair.u0)), to_coefficient(std::move(pair.u1)), 1, key_id};
}

TEST(SecretKey, IsTheSameForTheSameSeedAndPurpose) {
  const SecretKey a = key_of(gallery(), 1, "tenant");
  const SecretKey b = key_of(gallery(), 1, "tenant");
  EXPECT_EQ(a.id(), b.id());
  EXPECT_TRUE(std::ranges::equal(a.coefficients().span(), b.coefficients().span()));
}

TEST(SecretKey, DiffersForAnotherSeedOrPurpose) {
  const SecretKey a = key_of(gallery(), 1, "tenant");
  for (const SecretKey& b : {key_of(gallery(), 2, "tenant"), key_of(gallery(), 1, "edge 1")}) {
    EXPECT_NE(a.id(), b.id());
    EXPECT_FALSE(std::ranges::equal(a.coefficients().span(), b.coefficients().span()));
  }
}

TEST(SecretKey, IsTernaryAndBalanced) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  int counts[3] = {};
  for (const int8_t coefficient : key.coefficients().span()) {
    ASSERT_TRUE(coefficient >= -1 && coefficient <= 1);
    ++counts[coefficient + 1];
  }
  for (const int count : counts) EXPECT_NEAR(count, 4096 / 3.0, 150);
}

TEST(SecretKey, KnownAnswer) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  EXPECT_EQ(ckks::to_hex(key.id()), "67ea1b22f60bfe4afa86445d24ae6bbd");
}

TEST(SecretKey, CannotBeCopied) {
  EXPECT_FALSE(std::is_copy_constructible_v<SecretKey>);
  EXPECT_FALSE(std::is_copy_assignable_v<SecretKey>);
}

TEST(SecretKey, ExpandFailsIfSeedOrPurposeHasAWrongSize) {
  const SecretBytes seed = *SecretBytes::create(31);
  EXPECT_FALSE(SecretKey::expand(gallery(), seed, "tenant").ok());
  const SecretBytes whole = *SecretBytes::create(32);
  EXPECT_FALSE(SecretKey::expand(gallery(), whole, "").ok());
  EXPECT_FALSE(SecretKey::expand(gallery(), whole, std::string(65, 'x')).ok());
}

TEST(Encryption, DecryptsToTheMessageAndFreshNoise) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const std::vector<int32_t> message = some_message(4096);
  for (const size_t limbs : {1, 2}) {
    const Noise noise = noise_of(key, encrypted(key, message, limbs), message);
    EXPECT_NEAR(noise.rms, ring::kErrorDeviation, 0.2);
    EXPECT_LE(noise.max, 21);
  }
}

TEST(Encryption, IsFreshEveryTime) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const std::vector<int32_t> message = some_message(4096);
  const auto a = encrypt(key, message, 2, 1);
  const auto b = encrypt(key, message, 2, 1);
  EXPECT_NE(a->seed, b->seed);
  EXPECT_FALSE(a->c0 == b->c0);
}

TEST(Encryption, KnownAnswer) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  Randomness randomness = Randomness::insecure_fixed(5);
  std::vector<int32_t> message(4096);
  for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<int32_t>(i * i) - 4096;
  const auto ciphertext = encrypt(key, message, 2, 1024, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *ciphertext))),
            "c349cca2c25ff838854b8fd9f1a253f1dca5862649cce4898214b4a01ea05f9f");
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), expand(*ciphertext)))),
            "6967714a91c27a87d265749d9128a02f1b222c9a039640af70855b1ef5b54a37");
}

TEST(PublicEncryption, KnownAnswer) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  Randomness randomness = Randomness::insecure_fixed(7);
  const auto public_key = generate_public_key(key, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *public_key))),
            "930a549f5a1822970cff8467ebda815951532296326adc85b1e540f6f6050d09");
  ckks::Message message{std::vector<int64_t>(4096), 1024};
  for (int64_t i = 0; i < 4096; ++i) message.coefficients[static_cast<size_t>(i)] = i * i - 4096;
  const auto ciphertext = encrypt_public(gallery(), *public_key, message, 2, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *ciphertext))),
            "15956a6bc856f32d9caba755eddcab11af3c380f168d5f1a75cc44804316089c");
}

TEST(Decryption, FailsIfTheCiphertextNamesAnotherKey) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const SecretKey other = key_of(gallery(), 2, "tenant");
  const auto decrypted = decrypt(other, encrypted(key, some_message(4096), 2));
  ASSERT_FALSE(decrypted.ok());
  EXPECT_EQ(decrypted.error().code, ErrorCode::mismatch);
}

TEST(Decryption, GivesGarbageUnderAnotherKey) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const SecretKey other = key_of(gallery(), 2, "tenant");
  const std::vector<int32_t> message = some_message(4096);
  CoefficientCiphertext ciphertext = encrypted(key, message, 2);
  ciphertext.key_id = other.id();
  // Uniform modulo q0*q1: rms (q0*q1)/sqrt(12), about 2^58.
  EXPECT_GT(noise_of(other, ciphertext, message).rms, std::exp2(57));
}

// Key switches add the rounding by P, about sqrt(N/18), and little more.
TEST(SwitchingKey, SwitchesToTheOtherSecret) {
  const SecretKey edge = key_of(gallery(), 1, "edge 1");
  const SecretKey tenant = key_of(gallery(), 1, "tenant");
  const auto shape = ckks::top_shape(gallery(), 1);
  const auto key = generate_switching_key(edge, tenant, shape);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->from, edge.id());
  EXPECT_EQ(key->to, tenant.id());
  const std::vector<int32_t> message = some_message(4096);
  const CoefficientCiphertext ciphertext = encrypted(edge, message, 2);
  const ckks::KeySwitcher switcher(gallery(), shape);
  CoefficientCiphertext switched = from_pair(switcher.switch_key(ciphertext.c1, *key), tenant.id());
  add_in_place(switched.c0, ciphertext.c0);
  const Noise noise = noise_of(tenant, switched, message);
  EXPECT_GT(noise.rms, 10);
  EXPECT_LT(noise.rms, 25);
}

TEST(GaloisKey, TurnsTheMessage) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const auto shape = ckks::top_shape(gallery(), 1);
  const std::vector<int32_t> message = some_message(4096);
  const CoefficientCiphertext ciphertext = encrypted(key, message, 2);
  const ckks::KeySwitcher switcher(gallery(), shape);
  const ckks::Decomposition digits = switcher.decompose(ciphertext.c1);
  for (const uint32_t element : {3u, 65u, 8191u}) {
    const auto galois_key = generate_galois_key(key, element, shape);
    ASSERT_TRUE(galois_key.ok());
    const auto c0 = to_evaluation(ciphertext.c0.clone());
    const CoefficientCiphertext turned =
        from_pair(switcher.switch_key(digits, galois_key->key, {.addend = &c0, .element = element}),
                  key.id());
    std::vector<int32_t> expected(4096);
    for (size_t i = 0; i < 4096; ++i) {
      const size_t place = i * element % 8192;
      expected[place % 4096] = place < 4096 ? message[i] : -message[i];
    }
    EXPECT_LT(noise_of(key, turned, expected).rms, 25);
  }
}

// The product of a message with a constant polynomial, over s^2 and back.
TEST(RelinearizationKey, SwitchesFromTheSquare) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const auto shape = ckks::top_shape(gallery(), 1);
  const auto relinearization_key = generate_relinearization_key(key, shape);
  ASSERT_TRUE(relinearization_key.ok());
  const std::vector<int32_t> message = some_message(4096);
  std::vector<int32_t> constant(4096);
  constant[0] = 1 << 10;
  const auto a = to_evaluation(encrypted(key, message, 2));
  const auto b = to_evaluation(encrypted(key, constant, 2));
  auto c0 = a.c0.clone(), c1 = ring::EvaluationPolynomial::zero(a.c0.basis()), c2 = a.c1.clone();
  multiply_in_place(c0, b.c0);
  multiply_add(c1, a.c0, b.c1);
  multiply_add(c1, a.c1, b.c0);
  multiply_in_place(c2, b.c1);
  const ckks::KeySwitcher switcher(gallery(), shape);
  const ckks::PolynomialPair pair = switcher.switch_key(c2, relinearization_key->key);
  add_in_place(c0, pair.u0);
  add_in_place(c1, pair.u1);
  const CoefficientCiphertext product{to_coefficient(std::move(c0)), to_coefficient(std::move(c1)),
                                      1, key.id()};
  const auto decrypted = decrypt(key, product);
  double squares = 0;
  for (size_t i = 0; i < 4096; ++i) {
    const double error = centred(*decrypted, i) - 1024.0 * message[i];
    squares += error * error;
  }
  // message * noise: 2^26/sqrt(3) * 3.24 * sqrt(4096), about 2^33.
  EXPECT_LT(std::sqrt(squares / 4096), std::exp2(33.5));
}

// Any digit count, spent primes as special ones, and keys of more limbs than the ciphertext.
TEST(SwitchingKey, WorksForEveryShape) {
  const Parameters toy = ckks::insecure_parameters(1024, 5, 2);
  const SecretKey from = key_of(toy, 1, "from");
  const SecretKey to = key_of(toy, 1, "to");
  const std::vector<int32_t> message = some_message(1024);
  const ckks::KeySwitchShape shapes[] = {
      ckks::top_shape(toy, 1),
      ckks::top_shape(toy, 2),
      {.limbs = 3, .special_begin = 3, .special_count = 4, .digit_limbs = 3},
      {.limbs = 2, .special_begin = 2, .special_count = 2, .digit_limbs = 2},
      {.limbs = 4, .special_begin = 5, .special_count = 2, .digit_limbs = 2}};
  for (const ckks::KeySwitchShape& shape : shapes) {
    const auto key = generate_switching_key(from, to, shape);
    ASSERT_TRUE(key.ok());
    for (size_t limbs = 1; limbs <= std::min<size_t>(2, shape.limbs); ++limbs) {
      const CoefficientCiphertext ciphertext = encrypted(from, message, limbs);
      const ckks::KeySwitcher switcher(toy, shape.at(limbs));
      CoefficientCiphertext switched = from_pair(switcher.switch_key(ciphertext.c1, *key), to.id());
      add_in_place(switched.c0, ciphertext.c0);
      EXPECT_LT(noise_of(to, switched, message).rms, 120)
          << shape.limbs << ' ' << shape.digit_limbs << " at " << limbs;
      // From evaluation form the same bits.
      const CoefficientCiphertext again =
          from_pair(switcher.switch_key(to_evaluation(ciphertext.c1.clone()), *key), to.id());
      EXPECT_TRUE(again.c1 == switched.c1);
    }
  }
}

TEST(SwitchingKey, GenerateFailsIfTheShapeDoesNotFit) {
  const SecretKey key = key_of(gallery(), 1, "tenant");
  const ckks::KeySwitchShape shape{
      .limbs = 2, .special_begin = 2, .special_count = 2, .digit_limbs = 2};
  EXPECT_FALSE(generate_relinearization_key(key, shape).ok());
  EXPECT_FALSE(generate_switching_key(key, key, shape).ok());
  EXPECT_FALSE(generate_galois_key(key, 3, shape).ok());
}

TEST(SwitchingKey, KnownAnswer) {
  const SecretKey edge = key_of(gallery(), 1, "edge 1");
  const SecretKey tenant = key_of(gallery(), 1, "tenant");
  Randomness randomness = Randomness::insecure_fixed(6);
  const auto shape = ckks::top_shape(gallery(), 1);
  const auto key = generate_switching_key(edge, tenant, shape, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *key))),
            "fa10f98170a74c44b9e3177feffb2fffa9637fc5bf4aaeda56460b1063dd2f1f");
  const auto galois_key = generate_galois_key(tenant, 65, shape, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *galois_key))),
            "8700a61625ec95f1c02edaa2c12225670b5d99848061870de584a10a9e3ca18c");
  const auto relinearization_key = generate_relinearization_key(tenant, shape, randomness);
  EXPECT_EQ(to_hex(sha256(serialize(gallery(), *relinearization_key))),
            "2cdec03a621b5cec99b1a840c874c99dd02c58f30fba69df0620d16806a0d7aa");
}

}  // namespace
}  // namespace bauta::secret
