#include "ckks/ciphertext.h"

#include <cmath>

#include "ckks/parser_checks.h"
#include "ckks/test_parameters.h"

namespace bauta::ckks {
namespace {

const Parameters& parameters() {
  static const Parameters gallery = *Parameters::create(gallery_literal());
  return gallery;
}

ring::CoefficientPolynomial some_polynomial(uint8_t number, size_t limbs) {
  return ring::sample_uniform<ring::Form::coefficient>(
      ring::PublicSeed{number}, "test", 0, parameters().ciphertext_moduli().prefix(limbs));
}

CoefficientCiphertext some_ciphertext(size_t limbs) {
  return {some_polynomial(1, limbs), some_polynomial(2, limbs), 1234.5, KeyId{{1, 2, 3}}};
}

SeededCiphertext some_seeded_ciphertext() {
  return {some_polynomial(1, 2), ring::PublicSeed{9}, 1024, KeyId{{4, 5, 6}}};
}

TEST(Ciphertext, SerialisesAndParses) {
  for (const size_t limbs : {1, 2}) {
    const CoefficientCiphertext ciphertext = some_ciphertext(limbs);
    const Bytes bytes = serialize(parameters(), ciphertext);
    const auto parsed = parse_ciphertext(parameters(), bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_TRUE(parsed->c0 == ciphertext.c0 && parsed->c1 == ciphertext.c1);
    EXPECT_EQ(parsed->scale, ciphertext.scale);
    EXPECT_EQ(parsed->key_id, ciphertext.key_id);
  }
}

TEST(Ciphertext, ParserRefusesDamage) {
  expect_parser_refuses_damage(serialize(parameters(), some_ciphertext(2)), [](ByteView bytes) {
    return parse_ciphertext(parameters(), bytes);
  });
}

TEST(SeededCiphertext, SerialisesInHalfTheBytes) {
  const SeededCiphertext ciphertext = some_seeded_ciphertext();
  const Bytes bytes = serialize(parameters(), ciphertext);
  EXPECT_EQ(bytes.size(), 104u + 10 + 32 + 30720);
  const auto parsed = parse_seeded_ciphertext(parameters(), bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(parsed->c0 == ciphertext.c0);
  EXPECT_EQ(parsed->seed, ciphertext.seed);
  EXPECT_EQ(parsed->key_id, ciphertext.key_id);
  EXPECT_TRUE(expand(*parsed).c1 == expand(ciphertext).c1);
}

TEST(SeededCiphertext, ParserRefusesDamage) {
  expect_parser_refuses_damage(
      serialize(parameters(), some_seeded_ciphertext()),
      [](ByteView bytes) { return parse_seeded_ciphertext(parameters(), bytes); });
}

TEST(SeededCiphertext, ParseFailsIfLimbsScaleOrResiduesAreImpossible) {
  const Bytes bytes = serialize(parameters(), some_seeded_ciphertext());
  const Bytes payload(bytes.begin() + kEnvelopeHeaderBytes, bytes.end());
  const auto parses = [&](const Bytes& changed) {
    return parse_seeded_ciphertext(parameters(), with_payload(bytes, changed)).ok();
  };
  EXPECT_TRUE(parses(payload));
  for (const int limbs : {0, 1, 3, 255}) {
    Bytes changed = payload;
    changed[0] = static_cast<uint8_t>(limbs);
    EXPECT_FALSE(parses(changed)) << limbs;
  }
  for (const double scale : {0.0, -1.0, std::nan(""), double{INFINITY}, 1e-310}) {
    ByteWriter writer;
    writer.f64(scale);
    Bytes changed = payload;
    std::ranges::copy(writer.bytes(), changed.begin() + 2);
    EXPECT_FALSE(parses(changed)) << scale;
  }
  Bytes changed = payload;  // all bits set: a residue of 2^30 - 1
  std::fill(changed.end() - 30, changed.end(), uint8_t{0xff});
  EXPECT_FALSE(parses(changed));
}

}  // namespace
}  // namespace bauta::ckks
