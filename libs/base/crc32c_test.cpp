#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace bauta {
namespace {

// Vectors of RFC 3720, appendix B.4, and the customary "123456789".
TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c(Bytes(32, 0x00)), 0x8a9136aau);
  EXPECT_EQ(crc32c(Bytes(32, 0xff)), 0x62a8ab43u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, BothWaysAgreeAndPartsAddUp) {
  Bytes bytes(1000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i + 7 * i);
  for (size_t size = 0; size < 100; ++size)
    for (size_t begin = 0; begin < 9; ++begin) {
      const ByteView part = ByteView(bytes).subspan(begin, size);
      EXPECT_EQ(crc32c(part), internal::crc32c_portable(part));
    }
  const ByteView whole(bytes);
  EXPECT_EQ(crc32c(whole.subspan(333), crc32c(whole.first(333))), crc32c(whole));
}

}  // namespace
}  // namespace bauta
