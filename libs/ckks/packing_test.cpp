#include "ckks/packing.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

namespace bauta::ckks {
namespace {

TEST(Packing, UsesTheBitsOfTheModulus) {
  EXPECT_EQ(residue_bits(1073479681), 30);
  EXPECT_EQ(residue_bits(7340033), 23);
  EXPECT_EQ(residue_bits(4), 2);
  EXPECT_EQ(packed_bytes(4096, 1073479681), 15360u);
  EXPECT_EQ(packed_bytes(4096, 8257537), 11776u);
}

TEST(Packing, KnownAnswer) {
  ByteWriter writer;
  const uint32_t residues[8] = {1, 2, 3, 4, 5, 6, 7, 0};
  pack_residues(writer, residues, 1 << 3);  // values 0..7, three bits each
  EXPECT_EQ(to_hex(writer.bytes()), "d1581f");
}

TEST(Packing, GivesBackWhatWasPacked) {
  const bool holds = rc::check([](std::array<uint32_t, 64> words) {
    for (const uint32_t modulus : {1073479681u, 1071513601u, 8257537u, 7340033u, 97u}) {
      for (uint32_t& word : words) word %= modulus;
      ByteWriter writer;
      pack_residues(writer, words, modulus);
      RC_ASSERT(writer.bytes().size() == packed_bytes(words.size(), modulus));
      std::array<uint32_t, 64> read{};
      ByteReader reader(writer.bytes(), "test object");
      RC_ASSERT(unpack_residues(reader, modulus, read).ok());
      RC_ASSERT(reader.remaining() == 0u);
      RC_ASSERT(read == words);
    }
  });
  EXPECT_TRUE(holds);
}

TEST(Packing, UnpackFailsIfAResidueIsNotReduced) {
  ByteWriter writer;
  std::array<uint32_t, 8> residues{};
  residues[5] = 1073479681;
  pack_residues(writer, residues, 1073479681);
  ByteReader reader(writer.bytes(), "test object");
  const Status status = unpack_residues(reader, 1073479681, residues);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::corrupt);
}

TEST(Packing, UnpackFailsIfTruncated) {
  ByteWriter writer;
  std::array<uint32_t, 8> residues{};
  pack_residues(writer, residues, 1073479681);
  ByteReader reader(ByteView(writer.bytes()).first(29), "test object");
  EXPECT_FALSE(unpack_residues(reader, 1073479681, residues).ok());
}

}  // namespace
}  // namespace bauta::ckks
