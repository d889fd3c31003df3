#include "ckks/envelope.h"

#include <algorithm>

namespace bauta::ckks {
namespace {

constexpr std::string_view kMagic = "BAUTAOBJ";
constexpr size_t kChecksumOffset = 72;

Digest checksum(ByteView header_before_checksum, ByteView payload) {
  const ByteView parts[] = {header_before_checksum, payload};
  return sha256(parts);
}

}  // namespace

std::string_view object_type_name(ObjectType type) {
  switch (type) {
    case ObjectType::parameters:
      return "parameter set";
    case ObjectType::switching_key:
      return "key-switching key";
    case ObjectType::galois_key:
      return "Galois key";
    case ObjectType::relinearization_key:
      return "relinearisation key";
    case ObjectType::public_key:
      return "public key";
    case ObjectType::ciphertext:
      return "ciphertext";
    case ObjectType::seeded_ciphertext:
      return "seeded ciphertext";
    case ObjectType::probe:
      return "probe";
    case ObjectType::reference:
      return "reference";
    case ObjectType::stored_reference:
      return "stored reference";
    case ObjectType::score_request:
      return "score request";
    case ObjectType::ring_switch_key:
      return "ring-switch key";
    case ObjectType::admission:
      return "admission";
    case ObjectType::image:
      return "encrypted image";
  }
  return "unknown object";
}

Bytes seal_envelope(const EnvelopeHeader& header, ByteView payload) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u16(static_cast<uint16_t>(header.type));
  writer.u16(header.version);
  writer.u32(0);
  writer.u64(payload.size());
  writer.raw(header.parameters);
  writer.raw(header.key_id.bytes);
  const Digest sum = checksum(writer.bytes(), payload);
  writer.raw(sum);
  writer.raw(payload);
  return std::move(writer).take();
}

Result<size_t> first_envelope_size(ByteView bytes, size_t max_payload_bytes) {
  ByteReader reader(bytes, "object");
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  if (!std::ranges::equal(magic, as_bytes(kMagic)))
    return make_error(ErrorCode::corrupt, "these bytes are not a bauta object: the magic is wrong");
  BAUTA_CHECK(reader.raw(8));
  BAUTA_TRY(const uint64_t payload_bytes, reader.u64());
  if (payload_bytes > max_payload_bytes)
    return make_error(ErrorCode::corrupt,
                      "the object claims a payload of {} bytes where at most {} may stand",
                      payload_bytes, max_payload_bytes);
  const size_t size_bytes = kEnvelopeHeaderBytes + static_cast<size_t>(payload_bytes);
  if (bytes.size() < size_bytes)
    return make_error(ErrorCode::corrupt, "the object is truncated: {} of {} bytes are there",
                      bytes.size(), size_bytes);
  return size_bytes;
}

Result<Envelope> open_envelope(ByteView bytes, const ExpectedEnvelope& expected) {
  const std::string_view name = object_type_name(expected.type);
  ByteReader reader(bytes, name);
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  if (!std::ranges::equal(magic, as_bytes(kMagic)))
    return make_error(ErrorCode::corrupt, "the {} is not a bauta object: the magic is wrong", name);
  BAUTA_TRY(const uint16_t type, reader.u16());
  BAUTA_TRY(const uint16_t version, reader.u16());
  BAUTA_TRY(const uint32_t zero, reader.u32());
  BAUTA_TRY(const uint64_t payload_bytes, reader.u64());
  BAUTA_TRY(const ByteView parameters, reader.raw(expected.parameters.size()));
  BAUTA_TRY(const ByteView key_id, reader.raw(sizeof(KeyId)));
  BAUTA_TRY(const ByteView sum, reader.raw(sizeof(Digest)));
  if (payload_bytes > expected.max_payload_bytes)
    return make_error(ErrorCode::corrupt, "the {} is oversized: it claims {} bytes, at most {} fit",
                      name, payload_bytes, expected.max_payload_bytes);
  BAUTA_TRY(const ByteView payload, reader.raw(static_cast<size_t>(payload_bytes)));
  BAUTA_CHECK(reader.finish());
  if (!std::ranges::equal(sum, checksum(bytes.first(kChecksumOffset), payload)))
    return make_error(ErrorCode::corrupt, "the {} is damaged: its checksum does not match", name);
  if (type != static_cast<uint16_t>(expected.type))
    return make_error(ErrorCode::mismatch, "a {} is wanted here, but this is a {}", name,
                      object_type_name(static_cast<ObjectType>(type)));
  if (version != expected.version || zero != 0)
    return make_error(ErrorCode::mismatch,
                      "the {} has format version {}, this program reads version {}", name, version,
                      expected.version);
  if (!expected.any_parameters && !std::ranges::equal(parameters, expected.parameters))
    return make_error(ErrorCode::mismatch, "the {} belongs to other parameters ({}..., not {}...)",
                      name, bauta::to_hex(parameters.first(4)),
                      bauta::to_hex(ByteView(expected.parameters).first(4)));
  Envelope envelope{.parameters = {}, .key_id = {}, .payload = payload};
  std::ranges::copy(parameters, envelope.parameters.begin());
  std::ranges::copy(key_id, envelope.key_id.bytes.begin());
  return envelope;
}

}  // namespace bauta::ckks
