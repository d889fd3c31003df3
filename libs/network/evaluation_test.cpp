#include "network/evaluation.h"

#include <cmath>
#include <fstream>
#include <random>

#include <gtest/gtest.h>

#include "network/ranges.h"

namespace bauta::network {
namespace {

// See docs/formats/network.md, Test vectors.
Bytes made_up_face() {
  Bytes rgb(size_t{kFaceSide} * kFaceSide * 3);
  for (uint64_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>((i * i + 7 * i) / 13);
  return rgb;
}

std::vector<float> random_values(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> distribution(-0.5f, 0.5f);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(generator);
  return values;
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (float value : values) sum += double{value} * double{value};
  return std::sqrt(sum);
}

// One patch with maps of side x side, from one channel through one convolution.
Network one_convolution(uint32_t side, uint32_t channels) {
  Network network;
  network.input = {.packed_side = side, .side = side, .patches_per_side = 1, .block_side = 1};
  network.layers = {Convolution{1, channels, 3, false, random_values(channels * 3 * 9, 1)}};
  return network;
}

TEST(Evaluation, KnownAnswers) {
  for (const std::string name : {"network-tiny", "network-blocks"}) {
    const std::string path = BAUTA_FORMAT_VECTORS "/" + name;
    const Network network = std::move(read_network(path + ".bnet")).value();
    const std::vector<float> embedding =
        evaluate(network, input_maps(made_up_face(), network.input));
    std::ifstream file(path + ".txt");
    std::vector<float> expected(network.dimension());
    for (float& value : expected) file >> value;
    ASSERT_TRUE(file);
    for (size_t i = 0; i < expected.size(); ++i)
      EXPECT_NEAR(embedding[i], expected[i], 1e-5 * norm(expected)) << name << ' ' << i;
  }
}

TEST(Evaluation, ATapReadsTheFlattenedMapRolled) {
  constexpr uint32_t kSide = 5, kChannels = 2, kPositions = kSide * kSide;
  const Network network = one_convolution(kSide, kChannels);
  const std::vector<float> maps = random_values(3 * kPositions, 2);
  const std::vector<float> result = evaluate(network, maps);
  const auto& weights = std::get<Convolution>(network.layers[0]).weights;
  for (uint32_t o = 0; o < kChannels; ++o)
    for (uint32_t q = 0; q < kPositions; ++q) {
      double expected = 0;
      for (uint32_t i = 0; i < 3; ++i)
        for (uint32_t tap = 0; tap < 9; ++tap) {
          const uint32_t from =
              (q + kPositions + tap / 3 * kSide - kSide + tap % 3 - 1) % kPositions;
          expected += double{weights[(o * 3 + i) * 9 + tap]} * double{maps[i * kPositions + from]};
        }
      EXPECT_NEAR(result[o * kPositions + q], expected, 1e-5);
    }
}

TEST(Evaluation, TheTrunkIsTheInputOfTheLastSquare) {
  constexpr uint32_t kSide = 4, kPositions = 16;
  Network network = one_convolution(kSide, 3);
  network.layers.push_back(Square{3, kSide, 1, random_values(3 * kPositions, 3)});
  network.layers.push_back(Convolution{1, 3, 3, true, std::vector<float>(81)});
  std::vector<std::vector<float>> outputs;
  evaluate(network, random_values(3 * kPositions, 4), [&](size_t layer, std::span<const float> o) {
    EXPECT_EQ(layer, outputs.size());
    outputs.emplace_back(o.begin(), o.end());
  });
  EXPECT_EQ(outputs[2], outputs[0]);  // zero weights leave the trunk alone
  const auto& shift = std::get<Square>(network.layers[1]).shift;
  for (size_t i = 0; i < outputs[0].size(); ++i)
    EXPECT_FLOAT_EQ(outputs[1][i], (outputs[0][i] + shift[i]) * (outputs[0][i] + shift[i]));
}

TEST(InputMaps, BlocksAndPatchesComeInTheOrderOfTheFormat) {
  // Nothing is shrunk, so a pixel of the face is one value of the maps.
  const InputGeometry geometry{kFaceSide, kFaceSide, 2, 4};
  Bytes rgb(size_t{kFaceSide} * kFaceSide * 3);
  const uint32_t y = 56 + 9, x = 6;  // patch 2, block row 2, block column 1, pixel (1, 2) of it
  rgb[(y * kFaceSide + x) * 3 + 1] = 255;
  const std::vector<float> maps = input_maps(rgb, geometry);
  const size_t positions = geometry.positions(), side = geometry.map_side();
  const size_t channel = 2 * geometry.channels() + (1 * 4 + 2) * 3 + 1;
  for (size_t i = 0; i < maps.size(); ++i)
    ASSERT_EQ(maps[i], i == channel * positions + 2 * side + 1 ? 1.0f : -1.0f) << i;
}

TEST(InputMaps, ShrinkingAveragesAreas) {
  const InputGeometry geometry{
      .packed_side = 56, .side = 2, .patches_per_side = 1, .block_side = 1};
  Bytes rgb(size_t{kFaceSide} * kFaceSide * 3);
  const auto put = [&](uint32_t y, uint32_t x, uint8_t red) { rgb[(y * kFaceSide + x) * 3] = red; };
  put(54, 54, 1);  // the top left central pixel covers rows and columns 54 and 55
  put(54, 55, 2);
  put(55, 54, 3);
  put(55, 55, 4);  // the average, 2.5, is rounded up
  EXPECT_FLOAT_EQ(input_maps(rgb, geometry)[0], 3 / 127.5f - 1);
}

TEST(Ranges, AreTheLargestSoFar) {
  Network network = one_convolution(4, 2);
  network.layers.push_back(Square{2, 4, 0, std::vector<float>(32, 0.25f)});
  auto& bound = std::get<Square>(network.layers[1]).bound;
  const std::vector<float> maps = random_values(48, 5);
  float largest = 0;
  evaluate(network, maps, [&](size_t layer, std::span<const float> output) {
    for (const float value : output)
      if (layer == 0) largest = std::max(largest, std::abs(value + 0.25f));
  });
  Ranges ranges(network);
  evaluate(network, maps, std::ref(ranges));
  evaluate(network, std::vector<float>(48), std::ref(ranges));
  EXPECT_FLOAT_EQ(ranges.largest()[1], largest);
  EXPECT_EQ(ranges.largest()[0], 0);
  bound = 1.01f * largest;
  EXPECT_TRUE(ranges.kept());
  bound = 0.99f * largest;
  EXPECT_FALSE(ranges.kept());
}

TEST(InputMaps, OfAScaledFaceAreThoseOfTheFace) {
  const InputGeometry geometry{
      .packed_side = kFaceSide, .side = 96, .patches_per_side = 2, .block_side = 4};
  const Bytes face = made_up_face();
  EXPECT_EQ(input_maps(face, geometry),
            input_maps_of_scaled(std::vector<float>(face.begin(), face.end()), geometry));
}

}  // namespace
}  // namespace bauta::network
