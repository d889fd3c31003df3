// Encrypted scores on their way to the key service, and the way back of its answer.
#pragma once

#include <array>
#include <vector>

#include "ckks/ciphertext.h"
#include "match/parameters.h"

namespace bauta::match {

inline constexpr uint64_t kMaxBlocks = 1024;

// Which coefficients of a block are scores of this request; bit j%8 of byte j/8.
using LivePositions = std::array<uint8_t, kDegree / 8>;

inline bool is_live(const LivePositions& live, size_t coefficient) {
  return (live[coefficient / 8] >> (coefficient % 8) & 1) != 0;
}
inline void set_live(LivePositions& live, size_t coefficient) {
  live[coefficient / 8] |= static_cast<uint8_t>(1 << (coefficient % 8));
}

// One block of scores, one limb, as the key service sees it: blocks stand in a random order, each
// multiplied by a random power of X; a live coefficient decrypts to plus or minus
// (score + kScoreOffset) * score_scale(), every other one to a uniformly random residue.
// Scores below -kScoreOffset read as up to -0.8, which no threshold accepts.
struct ScoreBlock {
  ckks::CoefficientCiphertext ciphertext;
  LivePositions live{};
};

struct ScoreRequest {
  ckks::KeyId key_id;
  std::vector<ScoreBlock> blocks;
};

// Whose reference a position holds, for whoever counts answers by person and knows no names.
using Pseudonym = std::array<uint8_t, 4>;

// 31.2 kB per block.
Bytes serialize_score_request(const Parameters& parameters, const ScoreRequest& request);
// Errors: as ckks::open_envelope; corrupt also without a live position.
Result<ScoreRequest> parse_score_request(const Parameters& parameters, ByteView bytes);

// Where the key service found something, in its view of the request.
struct Position {
  uint32_t block = 0;
  uint32_t coefficient = 0;

  friend bool operator==(const Position&, const Position&) = default;
};

// The inverse of a request's permutation and rotations. Stays with the authentication server.
class ScoreMap {
 public:
  struct Block {
    uint64_t first_slot;
    uint32_t rotation;   // the block was multiplied by X^rotation; below 2N
    LivePositions live;  // as in the request
  };
  explicit ScoreMap(std::vector<Block> blocks) : blocks_(std::move(blocks)) {}

  // The slot of a position. Error invalid_argument: it was not live in the request.
  Result<uint64_t> slot(Position position) const;
  // What stands at the slots of all live positions, in the order of the request. Precondition:
  // every slot that was searched is below the size.
  std::vector<Pseudonym> in_order(std::span<const Pseudonym> by_slot) const;

 private:
  std::vector<Block> blocks_;
};

struct Search {
  ScoreRequest request;  // goes to the key service
  ScoreMap map;          // stays
};

}  // namespace bauta::match
