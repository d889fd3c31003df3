#include "network/network.h"

#include <bit>
#include <ostream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace bauta::network {
namespace {

using testing::HasSubstr;

Bytes tiny_file() {
  const std::string path = BAUTA_FORMAT_VECTORS "/network-tiny.bnet";
  return std::move(read_file(path, kMaxFileBytes)).value();
}

// The checksum made to fit again, so that what is wrong inside is what the parser meets.
Bytes sealed(Bytes file) {
  const size_t content = file.size() - sizeof(Digest);
  const Digest digest = sha256(ByteView(file).first(content));
  std::copy(digest.begin(), digest.end(), file.begin() + static_cast<ptrdiff_t>(content));
  return file;
}

void put_u32(Bytes& file, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) file[offset + i] = static_cast<uint8_t>(value >> (8 * i));
}

// Offsets in network-tiny.bnet, whose name has four letters.
constexpr size_t kVersionAt = 8, kNameAt = 16, kVerifyAt = 20, kPackedSideAt = 28, kSideAt = 32,
                 kPatchesAt = 36, kBlockAt = 40, kCountAt = 44, kFirstLayerAt = 48;

Error error_of(const Bytes& file) {
  const Result<Network> network = parse_network(file);
  EXPECT_FALSE(network.ok());
  return network.ok() ? Error{} : network.error();
}

struct Change {
  const char* what;
  size_t offset;
  uint32_t value;
  const char* message;

  friend void PrintTo(const Change& change, std::ostream* out) { *out << change.what; }
};

class RefusesChangedField : public testing::TestWithParam<Change> {};

TEST_P(RefusesChangedField, WithTheReason) {
  Bytes file = tiny_file();
  put_u32(file, GetParam().offset, GetParam().value);
  const Error error = error_of(sealed(std::move(file)));
  EXPECT_EQ(error.code, ErrorCode::corrupt);
  EXPECT_THAT(error.message, HasSubstr(GetParam().message));
}

constexpr uint32_t kNotANumber = 0x7FC00000u;

INSTANTIATE_TEST_SUITE_P(
    NetworkFile, RefusesChangedField,
    testing::Values(Change{"name", kNameAt, 0x0A0A0A0A, "its name"},
                    Change{"name_size", kNameAt - 4, 0xFFFFFFFF, "text of"},
                    Change{"threshold", kVerifyAt, kNotANumber, "not finite"},
                    Change{"threshold_order", kVerifyAt, std::bit_cast<uint32_t>(0.75f),
                           "thresholds"},
                    Change{"packed_side", kPackedSideAt, 113, "cannot be taken"},
                    Change{"odd_margin", kPackedSideAt, 47, "cannot be taken"},
                    Change{"side", kSideAt, 0, "cannot be taken"},
                    Change{"no_patches", kPatchesAt, 0, "do not divide"},
                    Change{"too_many_patches", kPatchesAt, 0x10000, "do not divide"},
                    Change{"block", kBlockAt, 5, "do not divide"},
                    Change{"huge_block", kBlockAt, 0x80000000, "do not divide"},
                    Change{"single_position", kBlockAt, 16, "outside the format's limits"},
                    Change{"no_layers", kCountAt, 0, "0 layers"},
                    Change{"too_many_layers", kCountAt, 65, "65 layers"},
                    Change{"fewer_layers", kCountAt, 4, "must be the last"},
                    Change{"more_layers", kCountAt, 6, "must be the last"},
                    Change{"kind", kFirstLayerAt, 9, "no kind of layer"},
                    Change{"square_first", kFirstLayerAt, 2, "square does not follow"},
                    Change{"patches_of_convolution", kFirstLayerAt + 4, 3, "patches of"},
                    Change{"outputs", kFirstLayerAt + 8, 0xFFFFFFFF, "outputs"},
                    Change{"more_outputs", kFirstLayerAt + 8, 1024, "truncated"},
                    Change{"inputs", kFirstLayerAt + 12, 47, "patches of 47 channels"},
                    Change{"adds_trunk", kFirstLayerAt + 16, 1, "cannot add the trunk"},
                    Change{"encoding", kFirstLayerAt + 20, 3, "encoding"},
                    Change{"infinite_halves", kFirstLayerAt + 24, 0x7C00FC00, "not finite"}),
    [](const auto& instance) { return instance.param.what; });

TEST(NetworkFile, HoldsWhatWasWritten) {
  const Network network = std::move(parse_network(tiny_file())).value();
  EXPECT_EQ(network.name, "tiny");
  EXPECT_EQ(network.threshold_verify, 0.25f);
  EXPECT_EQ(network.threshold_identify, 0.5f);
  EXPECT_EQ(network.input.map_side(), 4u);
  EXPECT_EQ(network.dimension(), 5u);
  EXPECT_EQ(network.depth(), 5u);
  EXPECT_FALSE(std::get<Convolution>(network.layers[0]).adds_trunk);
  EXPECT_TRUE(std::get<Convolution>(network.layers[2]).adds_trunk);
  EXPECT_EQ(std::get<Square>(network.layers[3]).bound, 64.0f);
}

// Offsets in network-blocks.bnet, whose name has six letters: of the first block's first layer
// behind a convolution and a square.
constexpr size_t kOpeningAt = 50 + (20 + 4 + 4 * 4 * 3 * 9 * 2) + (16 + 4 + 16 * 64 * 4);
constexpr size_t kClosingAt =
    kOpeningAt + 24 + (4 + 4 * 4 * 4 * 9 * 2) + (4 + 4 * 4 * 2) + (16 + 4 + 16 * 64 * 4);

Bytes file_with_blocks() {
  return std::move(read_file(BAUTA_FORMAT_VECTORS "/network-blocks.bnet", kMaxFileBytes)).value();
}

TEST(NetworkFile, HoldsBlocks) {
  const Network network = std::move(parse_network(file_with_blocks())).value();
  EXPECT_EQ(network.map_sides(), (std::vector<uint32_t>{8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 4}));
  const auto& channelwise = std::get<Convolution>(network.layers[2]);
  EXPECT_TRUE(channelwise.opens_block());
  EXPECT_FALSE(channelwise.projects());
  EXPECT_FALSE(std::get<Convolution>(network.layers[4]).opens_block());
  const auto& projecting = std::get<Convolution>(network.layers[6]);
  EXPECT_TRUE(projecting.projects());
  EXPECT_EQ(projecting.stride, 2u);
  EXPECT_EQ(projecting.outputs, 7u);
}

TEST(NetworkFile, BlocksThatDoNotFitAreRefused) {
  const Change changes[] = {
      {"stride", kOpeningAt + 16, 3, "strides of 3"},
      {"no stride", kOpeningAt + 16, 0, "strides of 0"},
      {"channelwise at a stride", kOpeningAt + 16, 2, "does not fit"},
      {"projects", kOpeningAt + 20, 2, "does not fit"},
      {"opens twice", kClosingAt, 4, "a block opens"},
      {"closing outputs", kClosingAt + 8, 5, "cannot add a shortcut"},
      {"trunk and shortcut", kClosingAt + 16, 1, "cannot add the trunk"},
      {"version", kVersionAt, 1, "no kind of layer"},
  };
  for (const Change& change : changes) {
    Bytes file = file_with_blocks();
    put_u32(file, change.offset, change.value);
    const Error error = error_of(sealed(std::move(file)));
    EXPECT_EQ(error.code, ErrorCode::corrupt) << change.what;
    EXPECT_THAT(error.message, HasSubstr(change.message)) << change.what;
  }
}

TEST(NetworkFile, TruncatedAnywhereIsRefused) {
  const Bytes file = tiny_file();
  for (size_t size = 0; size < file.size(); size += size < 400 ? 1 : 97) {
    const Bytes truncated(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(error_of(truncated).code, ErrorCode::corrupt) << size;
    if (size > 44) {
      EXPECT_EQ(error_of(sealed(truncated)).code, ErrorCode::corrupt) << size;
    }
  }
}

TEST(NetworkFile, AFlippedBitAnywhereIsRefused) {
  const Bytes file = tiny_file();
  for (size_t i = 0; i < file.size(); i += i < 100 ? 1 : 61) {
    Bytes flipped = file;
    flipped[i] ^= uint8_t{4};
    EXPECT_FALSE(parse_network(flipped).ok()) << i;
  }
}

TEST(NetworkFile, BytesAfterTheEndAreRefused) {
  Bytes file = tiny_file();
  file.resize(file.size() + 3);
  EXPECT_THAT(error_of(sealed(std::move(file))).message, HasSubstr("after its end"));
}

TEST(NetworkFile, AnotherVersionIsAMismatch) {
  Bytes file = tiny_file();
  put_u32(file, kVersionAt, 3);
  EXPECT_EQ(error_of(file).code, ErrorCode::mismatch);
}

TEST(NetworkFile, OversizedIsRefusedUnread) {
  Bytes file = tiny_file();
  file.resize(kMaxFileBytes + 1);
  EXPECT_THAT(error_of(file).message, HasSubstr("more than"));
}

TEST(NetworkFile, ReadingNamesTheFile) {
  EXPECT_EQ(read_network("/nowhere/patch.bnet").error().code, ErrorCode::not_found);
  const std::string path = testing::TempDir() + "/broken.bnet";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("BAUTANET?")).ok());
  EXPECT_THAT(read_network(path).error().message, HasSubstr("broken.bnet"));
}

}  // namespace
}  // namespace bauta::network
