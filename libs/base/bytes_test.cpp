#include "base/bytes.h"

#include <gtest/gtest.h>

namespace bauta {
namespace {

TEST(Bytes, WrittenValuesReadBack) {
  ByteWriter writer;
  writer.u8(1);
  writer.u16(0x0203);
  writer.u32(0x04050607);
  writer.u64(0x08090a0b0c0d0e0f);
  writer.f64(-0.5);
  writer.text("probe");
  ByteReader reader(writer.bytes(), "test object");
  EXPECT_EQ(*reader.u8(), 1);
  EXPECT_EQ(*reader.u16(), 0x0203);
  EXPECT_EQ(*reader.u32(), 0x04050607u);
  EXPECT_EQ(*reader.u64(), 0x08090a0b0c0d0e0fu);
  EXPECT_EQ(*reader.f64(), -0.5);
  EXPECT_EQ(*reader.text(5), "probe");
  EXPECT_TRUE(reader.finish().ok());
}

TEST(Bytes, IntegersAreLittleEndian) {
  ByteWriter writer;
  writer.u32(0x04050607);
  EXPECT_EQ(to_hex(writer.bytes()), "07060504");
}

TEST(Bytes, ReadingPastTheEndNamesTheObject) {
  const Bytes bytes = {1, 2, 3};
  ByteReader reader(bytes, "probe ciphertext");
  auto result = reader.u32();
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, ErrorCode::corrupt);
  EXPECT_NE(result.error().message.find("probe ciphertext is truncated"), std::string::npos);
}

TEST(Bytes, AHugeTextLengthIsRefusedBeforeAllocation) {
  ByteWriter writer;
  writer.u32(0xffffffff);
  ByteReader reader(writer.bytes(), "test object");
  EXPECT_FALSE(reader.text(100).ok());
}

TEST(Bytes, LeftOverBytesAreAnError) {
  const Bytes bytes = {1, 2};
  ByteReader reader(bytes, "test object");
  ASSERT_TRUE(reader.u8().ok());
  EXPECT_FALSE(reader.finish().ok());
}

TEST(Hex, RoundTripsAndRefusesOtherText) {
  const Bytes bytes = {0x00, 0xff, 0x1a};
  EXPECT_EQ(to_hex(bytes), "00ff1a");
  EXPECT_EQ(*from_hex("00FF1a"), bytes);
  EXPECT_FALSE(from_hex("0").ok());
  EXPECT_FALSE(from_hex("0g").ok());
}

}  // namespace
}  // namespace bauta
