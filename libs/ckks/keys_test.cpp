#include "ckks/keys.h"

#include "ckks/parser_checks.h"
#include "ckks/test_parameters.h"

namespace bauta::ckks {
namespace {

using testing::HasSubstr;

const Parameters& parameters() {
  static const Parameters gallery = *Parameters::create(gallery_literal());
  return gallery;
}

const KeySwitchShape kShape{.limbs = 2, .special_begin = 2, .special_count = 2, .digit_limbs = 1};

SwitchingKey some_key() {
  SwitchingKey key{.shape = kShape,
                   .from = KeyId{{1}},
                   .to = KeyId{{2}},
                   .seed = ring::PublicSeed{3},
                   .b = {},
                   .a = {}};
  for (uint64_t d = 0; d < 2; ++d)
    key.b.push_back(ring::sample_uniform<ring::Form::evaluation>(ring::PublicSeed{4}, "test", d,
                                                                 kShape.basis(parameters())));
  expand_uniform_halves(parameters(), key);
  return key;
}

bool equal(const SwitchingKey& a, const SwitchingKey& b) {
  return a.shape == b.shape && a.from == b.from && a.to == b.to && a.seed == b.seed && a.b == b.b &&
         a.a == b.a;
}

TEST(SwitchingKey, SerialisesAndParses) {
  const SwitchingKey key = some_key();
  const Bytes bytes = serialize(parameters(), key);
  const auto parsed = parse_switching_key(parameters(), kShape, bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(equal(*parsed, key));
  expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_switching_key(parameters(), kShape, damaged); });
}

TEST(GaloisKey, SerialisesAndParses) {
  const GaloisKey key{.element = 129, .key = some_key()};
  const Bytes bytes = serialize(parameters(), key);
  EXPECT_EQ(bytes.size(), galois_key_bytes(parameters(), kShape));
  const auto parsed = parse_galois_key(parameters(), kShape, bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->element, 129u);
  EXPECT_TRUE(equal(parsed->key, key.key));
  expect_parser_refuses_damage(
      bytes, [](ByteView damaged) { return parse_galois_key(parameters(), kShape, damaged); });
}

TEST(GaloisKey, ParseFailsIfTheElementIsNoAutomorphism) {
  for (const uint32_t element : {0u, 2u, 8192u, 8193u, 0xffffffffu}) {
    const Bytes bytes = serialize(parameters(), GaloisKey{.element = element, .key = some_key()});
    const auto parsed = parse_galois_key(parameters(), kShape, bytes);
    ASSERT_FALSE(parsed.ok());
    EXPECT_THAT(parsed.error().message, HasSubstr("no automorphism"));
  }
}

TEST(RelinearizationKey, SerialisesAndParses) {
  const RelinearizationKey key{some_key()};
  const Bytes bytes = serialize(parameters(), key);
  const auto parsed = parse_relinearization_key(parameters(), kShape, bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(equal(parsed->key, key.key));
  expect_parser_refuses_damage(bytes, [](ByteView damaged) {
    return parse_relinearization_key(parameters(), kShape, damaged);
  });
}

TEST(SwitchingKey, ParseFailsIfOfAnotherShape) {
  const Bytes bytes = serialize(parameters(), some_key());
  KeySwitchShape other = kShape;
  other.digit_limbs = 2;
  const auto parsed = parse_switching_key(parameters(), other, bytes);
  ASSERT_FALSE(parsed.ok());
}

TEST(KeySwitchShape, ServesFewerLimbsOfTheSameDigits) {
  const KeySwitchShape shape{.limbs = 6, .special_begin = 8, .special_count = 2, .digit_limbs = 2};
  EXPECT_TRUE(shape.serves(shape));
  EXPECT_TRUE(shape.serves(shape.at(5)));
  EXPECT_FALSE(shape.serves(shape.at(7)));
  KeySwitchShape other = shape;
  other.digit_limbs = 3;
  EXPECT_FALSE(shape.serves(other));
  EXPECT_EQ(shape.digits(), 3u);
  EXPECT_EQ(shape.at(5).digits(), 3u);
  EXPECT_EQ(shape.at(4).digits(), 2u);
}

TEST(KeySwitchShape, CheckFailsIfItDoesNotFit) {
  const Parameters toy = insecure_parameters(1024, 6, 2);
  EXPECT_TRUE(check_shape(toy, top_shape(toy, 2)).ok());
  // Spent primes of Q as special ones, for deeper levels.
  EXPECT_TRUE(
      check_shape(toy, {.limbs = 4, .special_begin = 4, .special_count = 4, .digit_limbs = 4})
          .ok());
  const KeySwitchShape refused[] = {
      {.limbs = 0, .special_begin = 6, .special_count = 2, .digit_limbs = 1},
      {.limbs = 7, .special_begin = 7, .special_count = 1, .digit_limbs = 1},
      {.limbs = 6, .special_begin = 5, .special_count = 2, .digit_limbs = 1},
      {.limbs = 6, .special_begin = 6, .special_count = 3, .digit_limbs = 1},
      {.limbs = 6, .special_begin = 9, .special_count = 1, .digit_limbs = 1},
      {.limbs = 6, .special_begin = 6, .special_count = 0, .digit_limbs = 1},
      {.limbs = 6, .special_begin = 6, .special_count = 2, .digit_limbs = 0},
      {.limbs = 6, .special_begin = 6, .special_count = 2, .digit_limbs = 4},  // drowned in noise
      {.limbs = 6, .special_begin = 6, .special_count = ~size_t{0}, .digit_limbs = 1},
  };
  for (const KeySwitchShape& shape : refused)
    EXPECT_FALSE(check_shape(toy, shape).ok()) << shape.limbs << ' ' << shape.special_begin;
}

TEST(InverseGaloisElement, IsOne) {
  for (const size_t degree : {1024, 4096, 65536})
    for (uint64_t element = 1; element < 2 * degree; element += 2 * 97) {
      const uint32_t inverse = inverse_galois_element(static_cast<uint32_t>(element), degree);
      ASSERT_EQ(element * inverse % (2 * degree), 1u);
    }
}

}  // namespace
}  // namespace bauta::ckks
