#include "match/score_request.h"

#include <algorithm>

#include "ckks/envelope.h"
#include "ckks/packing.h"

namespace bauta::match {
namespace {

// One limb is left of every score ciphertext.
ring::Basis score_basis(const Parameters& parameters) {
  return parameters.ring().ciphertext_moduli().prefix(1);
}

size_t block_bytes(const Parameters& parameters) {
  return 2 * ckks::packed_bytes(score_basis(parameters)) + sizeof(LivePositions);
}

}  // namespace

Bytes serialize_score_request(const Parameters& parameters, const ScoreRequest& request) {
  BAUTA_ASSERT(!request.blocks.empty() && request.blocks.size() <= kMaxBlocks);
  ByteWriter payload;
  payload.u32(static_cast<uint32_t>(request.blocks.size()));
  for (const ScoreBlock& block : request.blocks) {
    payload.raw(block.live);
    ckks::pack_polynomial(payload, block.ciphertext.c0);
    ckks::pack_polynomial(payload, block.ciphertext.c1);
  }
  return ckks::seal_envelope({.type = ckks::ObjectType::score_request,
                              .parameters = parameters.digest(),
                              .key_id = request.key_id},
                             payload.bytes());
}

Result<ScoreRequest> parse_score_request(const Parameters& parameters, ByteView bytes) {
  const ckks::ObjectType type = ckks::ObjectType::score_request;
  BAUTA_TRY(
      const ckks::Envelope envelope,
      ckks::open_envelope(bytes, {.type = type,
                                  .parameters = parameters.digest(),
                                  .max_payload_bytes = 4 + kMaxBlocks * block_bytes(parameters)}));
  ByteReader reader(envelope.payload, object_type_name(type));
  ScoreRequest request{.key_id = envelope.key_id, .blocks = {}};
  BAUTA_TRY(const uint32_t blocks, reader.u32());
  if (blocks == 0 || blocks > kMaxBlocks)
    return make_error(ErrorCode::corrupt, "a score request of {} blocks; 1 to {} are possible",
                      blocks, kMaxBlocks);
  bool any_live = false;
  for (uint32_t b = 0; b < blocks; ++b) {
    ScoreBlock block;
    BAUTA_TRY(const ByteView live, reader.raw(block.live.size()));
    std::ranges::copy(live, block.live.begin());
    any_live = any_live || std::ranges::any_of(live, [](uint8_t byte) { return byte != 0; });
    using ckks::unpack_polynomial;
    const ring::Basis basis = score_basis(parameters);
    BAUTA_TRY(block.ciphertext.c0, unpack_polynomial<ring::Form::coefficient>(reader, basis));
    BAUTA_TRY(block.ciphertext.c1, unpack_polynomial<ring::Form::coefficient>(reader, basis));
    block.ciphertext.scale = parameters.score_scale();
    block.ciphertext.key_id = envelope.key_id;
    request.blocks.push_back(std::move(block));
  }
  BAUTA_CHECK(reader.finish());
  if (!any_live) return make_error(ErrorCode::corrupt, "a score request without a live position");
  return request;
}

Result<uint64_t> ScoreMap::slot(Position position) const {
  if (position.block >= blocks_.size() || position.coefficient >= kDegree ||
      !is_live(blocks_[position.block].live, position.coefficient))
    return make_error(ErrorCode::invalid_argument,
                      "position {} of block {} was not a score of this request",
                      position.coefficient, position.block);
  const Block& block = blocks_[position.block];
  return block.first_slot + (position.coefficient + 2 * kDegree - block.rotation) % kDegree;
}

std::vector<Pseudonym> ScoreMap::in_order(std::span<const Pseudonym> by_slot) const {
  std::vector<Pseudonym> ordered;
  ordered.reserve(blocks_.size() * kDegree);
  for (const Block& block : blocks_) {
    const size_t first = (2 * kDegree - block.rotation) % kDegree;
    for (size_t j = 0; j < kDegree; ++j) {
      if (!is_live(block.live, j)) continue;
      const uint64_t slot = block.first_slot + (first + j) % kDegree;
      BAUTA_ASSERT(slot < by_slot.size());
      ordered.push_back(by_slot[slot]);
    }
  }
  return ordered;
}

}  // namespace bauta::match
