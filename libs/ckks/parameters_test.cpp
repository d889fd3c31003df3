#include "ckks/parameters.h"

#include <cmath>

#include "ckks/parser_checks.h"
#include "ckks/test_parameters.h"

namespace bauta::ckks {
namespace {

using testing::HasSubstr;

Error refusal(const ParametersLiteral& literal) {
  const auto parameters = Parameters::create(literal);
  EXPECT_FALSE(parameters.ok());
  return parameters.ok() ? Error{} : parameters.error();
}

TEST(Parameters, TheGallerySetConstructs) {
  const auto parameters = Parameters::create(gallery_literal());
  ASSERT_TRUE(parameters.ok()) << parameters.error().message;
  EXPECT_EQ(parameters->degree(), 4096u);
  EXPECT_NEAR(parameters->log2_qp(), 105.8, 0.05);
  EXPECT_FALSE(parameters->insecure());
  EXPECT_EQ(parameters->ciphertext_moduli().moduli(), gallery_literal().primes);
  EXPECT_EQ(parameters->special_moduli().moduli(), gallery_literal().special_primes);
}

TEST(Parameters, KnownDigest) {
  EXPECT_EQ(to_hex(Parameters::create(gallery_literal())->digest()),
            "c8942b8ccb1d030851340a8f11d4bcbb55c691cfe517a5c852c23f1c025a568d");
  EXPECT_EQ(to_hex(sha256(Parameters::create(gallery_literal())->serialize())),
            "bb89a7bdb4c6d4b4ee8b069734163f13f0fe4c2d7d4b956856882f5c6a0ca7f4");
}

TEST(Parameters, TheTableIsThatOfTheGuidelines) {
  EXPECT_EQ(max_log2_qp(2048), 53);
  EXPECT_EQ(max_log2_qp(4096), 106);
  EXPECT_EQ(max_log2_qp(8192), 214);
  EXPECT_EQ(max_log2_qp(16384), 430);
  EXPECT_EQ(max_log2_qp(32768), 868);
  EXPECT_EQ(max_log2_qp(65536), 1747);
  EXPECT_EQ(max_log2_qp(1024), 0);
  EXPECT_EQ(max_log2_qp(5000), 0);
}

TEST(Parameters, CreateFailsIfBeyondTheSecurityTable) {
  for (const size_t degree : {4096, 8192, 16384, 32768}) {
    // The fewest 30-bit primes that break the limit; one fewer is within it.
    const auto count = static_cast<size_t>(max_log2_qp(degree) / 29.99) + 1;
    const auto primes = *ring::primes_below(1u << 30, count);
    const Error error = refusal({.degree = degree, .primes = primes, .special_primes = {}});
    EXPECT_EQ(error.code, ErrorCode::invalid_argument);
    EXPECT_THAT(error.message, HasSubstr("128-bit security"));
    // Special primes count like all others.
    EXPECT_THAT(refusal({.degree = degree,
                         .primes = {primes.begin(), primes.end() - 1},
                         .special_primes = {primes.back()}})
                    .message,
                HasSubstr("128-bit security"));
    EXPECT_TRUE(
        Parameters::create(
            {.degree = degree, .primes = {primes.begin(), primes.end() - 1}, .special_primes = {}})
            .ok());
  }
}

TEST(Parameters, CreateFailsIfTheDegreeIsNotInTheTable) {
  for (const size_t degree : {0, 1, 1024, 3000, 4095, 131072})
    EXPECT_EQ(refusal({.degree = degree, .primes = {1073479681}, .special_primes = {}}).code,
              ErrorCode::invalid_argument)
        << degree;
}

TEST(Parameters, CreateFailsIfAModulusCannotBeOne) {
  ParametersLiteral literal = gallery_literal();
  literal.primes[1] = 1071513603;  // not a prime
  EXPECT_EQ(refusal(literal).code, ErrorCode::invalid_argument);
  literal.primes[1] = 1073741827;  // a prime above 2^30
  EXPECT_EQ(refusal(literal).code, ErrorCode::invalid_argument);
  literal.primes[1] = 1073741789;  // a prime, but not 1 modulo 2N
  EXPECT_EQ(refusal(literal).code, ErrorCode::invalid_argument);
  literal.primes[1] = literal.primes[0];
  EXPECT_EQ(refusal(literal).code, ErrorCode::invalid_argument);
  literal.primes.clear();
  EXPECT_EQ(refusal(literal).code, ErrorCode::invalid_argument);
}

TEST(Parameters, InsecureSetsAreMarkedAndHaveTheirOwnDigest) {
  const auto secure = Parameters::create(gallery_literal());
  const auto insecure = Parameters::insecure_create(gallery_literal());
  ASSERT_TRUE(insecure.ok());
  EXPECT_TRUE(insecure->insecure());
  EXPECT_NE(insecure->digest(), secure->digest());
}

TEST(Parameters, FileGivesTheSameSet) {
  const auto parameters = Parameters::create(gallery_literal());
  const Bytes bytes = parameters->serialize();
  const auto parsed = Parameters::parse(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_TRUE(*parsed == *parameters);
  expect_parser_refuses_damage(bytes, Parameters::parse);
}

TEST(Parameters, ParseFailsIfInsecure) {
  const auto parsed =
      Parameters::parse(Parameters::insecure_create(gallery_literal())->serialize());
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::refused);
}

TEST(Parameters, ParseFailsIfBeyondTheSecurityTable) {
  // An honest file of a set with too many primes, with the flag that marks it taken off.
  const Bytes bytes = insecure_parameters(4096, 3, 1).serialize();
  Bytes payload(bytes.begin() + kEnvelopeHeaderBytes, bytes.end());
  payload[0] = 0;
  const auto parsed = Parameters::parse(with_payload(bytes, payload));
  ASSERT_FALSE(parsed.ok());
  EXPECT_THAT(parsed.error().message, HasSubstr("128-bit security"));
}

}  // namespace
}  // namespace bauta::ckks
