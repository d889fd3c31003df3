#include "ckks/envelope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bauta::ckks {
namespace {

using testing::HasSubstr;

const Bytes kPayload = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};

Digest some_parameters() {
  return sha256(as_bytes("some parameters"));
}

Bytes sealed() {
  return seal_envelope({.type = ObjectType::probe,
                        .version = 1,
                        .parameters = some_parameters(),
                        .key_id = {{7, 7, 7}}},
                       kPayload);
}

ExpectedEnvelope expected() {
  return {.type = ObjectType::probe,
          .version = 1,
          .parameters = some_parameters(),
          .max_payload_bytes = kPayload.size()};
}

Error failure(ByteView bytes, const ExpectedEnvelope& wanted) {
  const auto opened = open_envelope(bytes, wanted);
  EXPECT_FALSE(opened.ok());
  return opened.ok() ? Error{} : opened.error();
}

TEST(Envelope, GivesBackPayloadAndKeyId) {
  const Bytes bytes = sealed();
  ASSERT_EQ(bytes.size(), kEnvelopeHeaderBytes + kPayload.size());
  const auto opened = open_envelope(bytes, expected());
  ASSERT_TRUE(opened.ok());
  EXPECT_TRUE(std::ranges::equal(opened->payload, kPayload));
  EXPECT_EQ(opened->key_id, (KeyId{{7, 7, 7}}));
  EXPECT_EQ(*first_envelope_size(bytes, kPayload.size()), bytes.size());
}

TEST(Envelope, OpenFailsIfTruncatedAnywhere) {
  const Bytes bytes = sealed();
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Error error = failure(ByteView(bytes).first(size), expected());
    EXPECT_EQ(error.code, ErrorCode::corrupt);
    EXPECT_THAT(error.message, HasSubstr("probe is truncated")) << size;
  }
}

TEST(Envelope, OpenFailsIfAnyBitIsFlipped) {
  for (size_t bit = 0; bit < 8 * sealed().size(); ++bit) {
    Bytes bytes = sealed();
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    EXPECT_FALSE(open_envelope(bytes, expected()).ok()) << bit;
  }
}

TEST(Envelope, OpenFailsIfBytesFollow) {
  Bytes bytes = sealed();
  bytes.push_back(0);
  const Error error = failure(bytes, expected());
  EXPECT_EQ(error.code, ErrorCode::corrupt);
  EXPECT_THAT(error.message, HasSubstr("1 bytes after its end"));
}

TEST(Envelope, OpenFailsIfOversized) {
  ExpectedEnvelope wanted = expected();
  wanted.max_payload_bytes = kPayload.size() - 1;
  const Error error = failure(sealed(), wanted);
  EXPECT_EQ(error.code, ErrorCode::corrupt);
  EXPECT_THAT(error.message, HasSubstr("oversized"));
}

TEST(Envelope, OpenFailsIfSizeIsAbsurd) {
  Bytes bytes = sealed();
  for (size_t i = 16; i < 24; ++i) bytes[i] = 0xff;
  EXPECT_THAT(failure(bytes, expected()).message, HasSubstr("oversized"));
  EXPECT_FALSE(first_envelope_size(bytes, 1u << 20).ok());
}

TEST(Envelope, OpenFailsIfOfAnotherType) {
  ExpectedEnvelope wanted = expected();
  wanted.type = ObjectType::reference;
  const Error error = failure(sealed(), wanted);
  EXPECT_EQ(error.code, ErrorCode::mismatch);
  EXPECT_THAT(error.message, HasSubstr("reference is wanted here, but this is a probe"));
}

TEST(Envelope, OpenFailsIfOfAnotherVersion) {
  ExpectedEnvelope wanted = expected();
  wanted.version = 2;
  const Error error = failure(sealed(), wanted);
  EXPECT_EQ(error.code, ErrorCode::mismatch);
  EXPECT_THAT(error.message, HasSubstr("format version 1"));
}

TEST(Envelope, OpenFailsIfOfOtherParameters) {
  ExpectedEnvelope wanted = expected();
  wanted.parameters = sha256(as_bytes("other parameters"));
  const Error error = failure(sealed(), wanted);
  EXPECT_EQ(error.code, ErrorCode::mismatch);
  EXPECT_THAT(error.message, HasSubstr("other parameters"));
}

TEST(Envelope, OpenFailsIfNotAnObject) {
  Bytes bytes(500, 'x');
  EXPECT_THAT(failure(bytes, expected()).message, HasSubstr("not a bauta object"));
  EXPECT_FALSE(first_envelope_size(bytes, 1000).ok());
}

TEST(KeyId, MismatchNamesBoth) {
  const Status status = check_key_id("probe", KeyId{{1}}, KeyId{{2}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::mismatch);
  EXPECT_THAT(status.error().message, HasSubstr("01000000000000000000000000000000"));
  EXPECT_THAT(status.error().message, HasSubstr("02000000000000000000000000000000"));
}

}  // namespace
}  // namespace bauta::ckks
