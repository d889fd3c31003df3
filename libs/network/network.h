// A face network as a list of layers with its weights, as a .bnet file stores it
// (docs/formats/network.md says what each layer computes).
#pragma once

#include <filesystem>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/digest.h"

namespace bauta::network {

inline constexpr uint32_t kFaceSide =
    112;  // pixels, of the aligned face that a network starts from
inline constexpr uint32_t kMaxPackedSide = 128;
inline constexpr size_t kMaxFileBytes = size_t{64} << 20;

// From an aligned face to patches. Invariant (of a parsed network): side <= packed_side <=
// kMaxPackedSide, and patches_per_side * block_side divides side.
struct InputGeometry {
  uint32_t packed_side = 0;  // pixels, of the whole face once scaled
  uint32_t side = 0;         // pixels, of its central part, which the network sees
  uint32_t patches_per_side = 0;
  uint32_t block_side = 0;  // pixels; a block becomes one position

  uint32_t patches() const { return patches_per_side * patches_per_side; }
  uint32_t map_side() const { return side / patches_per_side / block_side; }
  uint32_t positions() const { return map_side() * map_side(); }
  uint32_t channels() const { return 3 * block_side * block_side; }  // of a patch
};

// 3x3 with helical padding, without bias, patch by patch.
struct Convolution {
  uint32_t patches = 0;
  uint32_t outputs = 0;  // channels per patch
  uint32_t inputs = 0;   // channels per patch
  bool adds_trunk = false;
  std::vector<float> weights;  // [patches][outputs][inputs][3][3]
  uint32_t stride = 1;
  // Of a convolution that opens a block: what its input goes through, at the same stride, to be
  // added to the result of the next convolution. A 1x1 convolution [patches][outputs][inputs], or
  // a factor for each channel [patches][outputs]. Empty: no block.
  std::vector<float> shortcut = {};

  bool opens_block() const { return !shortcut.empty(); }
  bool projects() const { return shortcut.size() == size_t{patches} * outputs * inputs; }
};

// (x + shift)^2; its input becomes the trunk.
struct Square {
  uint32_t channels = 0;  // all patches together
  uint32_t side = 0;
  float bound = 0;           // |x + shift| stays below it on faces
  std::vector<float> shift;  // [channels][side][side]
};

// weights * (averages over pool x pool positions) + bias.
struct Linear {
  uint32_t outputs = 0;
  uint32_t inputs = 0;  // after pooling: [patch][channel][row][column]
  uint32_t pool = 0;
  std::vector<float> weights;  // [outputs][inputs]
  std::vector<float> bias;     // [outputs]
};

using Layer = std::variant<Convolution, Square, Linear>;

// Invariant (of a parsed network): a convolution, then squares and convolutions in turn, after a
// square one linear layer; shapes follow from each other; every value is finite.
struct Network {
  std::string name;
  float threshold_verify = 0;    // cosine at or above which 1:1 accepts
  float threshold_identify = 0;  // the same for 1:N
  InputGeometry input;
  std::vector<Layer> layers;
  Digest digest{};  // SHA-256 of the file up to its checksum

  uint32_t dimension() const { return std::get<Linear>(layers.back()).outputs; }
  // Multiplicative levels of an encrypted evaluation.
  size_t depth() const { return layers.size(); }
  // Of the maps that each layer takes.
  std::vector<uint32_t> map_sides() const;
};

// Errors: corrupt for bytes that are not an intact network file within the format's limits;
// mismatch for a version of the format that this program does not know.
Result<Network> parse_network(ByteView file);

// Errors: as read_file's and parse_network's.
Result<Network> read_network(const std::filesystem::path& path);

}  // namespace bauta::network
