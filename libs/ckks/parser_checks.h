// What every parser of serialised objects must refuse; for tests.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "ckks/envelope.h"

namespace bauta::ckks {

// The same payload under a header with a changed field, checksum made right again.
inline Bytes resealed(ByteView object, ObjectType type, uint16_t version,
                      const Digest& parameters) {
  EnvelopeHeader header{.type = type, .version = version, .parameters = parameters, .key_id = {}};
  std::ranges::copy(object.subspan(56, 16), header.key_id.bytes.begin());
  return seal_envelope(header, object.subspan(kEnvelopeHeaderBytes));
}

// The same header with another payload, checksum made right again.
inline Bytes with_payload(ByteView object, ByteView payload) {
  EnvelopeHeader header{
      .type = static_cast<ObjectType>(object[8] | object[9] << 8), .parameters = {}, .key_id = {}};
  std::ranges::copy(object.subspan(24, 32), header.parameters.begin());
  std::ranges::copy(object.subspan(56, 16), header.key_id.bytes.begin());
  return seal_envelope(header, payload);
}

// `object` parses; everything made from it here must not, with an error that says what is wrong.
// parse: ByteView -> Result<...>.
template <typename Parse>
void expect_parser_refuses_damage(ByteView object, Parse parse) {
  using testing::HasSubstr;
  ASSERT_TRUE(parse(object).ok()) << parse(object).error().message;
  const auto type = static_cast<ObjectType>(object[8] | object[9] << 8);
  Digest parameters;
  std::ranges::copy(object.subspan(24, 32), parameters.begin());
  const auto expect_error = [&](ByteView bytes, ErrorCode code, std::string_view words) {
    const auto parsed = parse(bytes);
    ASSERT_FALSE(parsed.ok()) << words;
    EXPECT_EQ(parsed.error().code, code) << parsed.error().message;
    EXPECT_THAT(parsed.error().message, HasSubstr(std::string(words)));
  };

  // Truncated: nothing, every header field cut, the payload gone, half there, one byte short.
  for (const size_t size : {0, 1, 7, 8, 9, 11, 15, 23, 55, 71, 103, 104, 105})
    if (size < object.size()) expect_error(object.first(size), ErrorCode::corrupt, "truncated");
  expect_error(object.first(object.size() / 2 + 52), ErrorCode::corrupt, "truncated");
  expect_error(object.first(object.size() - 1), ErrorCode::corrupt, "truncated");

  // One flipped bit in every byte of the header, and in 200 places of the payload.
  const auto expect_flip_is_found = [&](size_t offset) {
    Bytes flipped(object.begin(), object.end());
    flipped[offset] ^= static_cast<uint8_t>(1 << random_below(8));
    EXPECT_FALSE(parse(flipped).ok()) << "flip at " << offset;
  };
  for (size_t offset = 0; offset < kEnvelopeHeaderBytes; ++offset) expect_flip_is_found(offset);
  for (int i = 0; i < 200; ++i)
    expect_flip_is_found(kEnvelopeHeaderBytes + random_below(object.size() - kEnvelopeHeaderBytes));
  expect_flip_is_found(object.size() - 1);

  // Oversized: bytes after the end; a payload longer than the type can have.
  Bytes longer(object.begin(), object.end());
  longer.push_back(0);
  expect_error(longer, ErrorCode::corrupt, "after its end");
  Bytes huge(object.begin(), object.end());
  for (size_t i = 16; i < 24; ++i) huge[i] = 0xff;
  expect_error(huge, ErrorCode::corrupt, "oversized");

  // A payload that is too short or too long, with a correct header and checksum.
  const ByteView payload = object.subspan(kEnvelopeHeaderBytes);
  EXPECT_FALSE(parse(with_payload(object, {})).ok());
  EXPECT_FALSE(parse(with_payload(object, payload.first(payload.size() - 1))).ok());
  EXPECT_FALSE(parse(with_payload(object, ByteView(longer).subspan(kEnvelopeHeaderBytes))).ok());

  // Valid in itself, but not what is wanted.
  const ObjectType other_type =
      type == ObjectType::public_key ? ObjectType::probe : ObjectType::public_key;
  expect_error(resealed(object, other_type, 1, parameters), ErrorCode::mismatch,
               "is wanted here, but this is a");
  expect_error(resealed(object, type, 2, parameters), ErrorCode::mismatch, "format version 2");
  Digest other_parameters = parameters;
  other_parameters[0] ^= 1;
  EXPECT_FALSE(parse(resealed(object, type, 1, other_parameters)).ok());
  expect_error(Bytes(object.size(), 'x'), ErrorCode::corrupt, "not a bauta object");
}

}  // namespace bauta::ckks
