#include "match/template_ciphertext.h"

#include "ckks/envelope.h"

namespace bauta::match {
namespace {

using ckks::Envelope;
using ckks::ObjectType;

constexpr size_t kLimbs = 2;

template <typename CiphertextType>
Bytes seal(const Parameters& parameters, ObjectType type, double scale,
           const CiphertextType& ciphertext) {
  BAUTA_ASSERT(ciphertext.c0.limb_count() == kLimbs && ciphertext.scale == scale);
  ByteWriter payload;
  write_payload(payload, ciphertext);
  return ckks::seal_envelope(
      {.type = type, .parameters = parameters.digest(), .key_id = ciphertext.key_id},
      payload.bytes());
}

Result<Envelope> open(const Parameters& parameters, ObjectType type, size_t payload_bytes,
                      ByteView bytes) {
  return ckks::open_envelope(
      bytes, {.type = type, .parameters = parameters.digest(), .max_payload_bytes = payload_bytes});
}

// The rest of a parse, once the payload is read.
template <typename CiphertextType>
Status complete(const ByteReader& reader, ObjectType type, double scale, const ckks::KeyId& key_id,
                CiphertextType& ciphertext) {
  BAUTA_CHECK(reader.finish());
  if (ciphertext.c0.limb_count() != kLimbs || ciphertext.scale != scale)
    return make_error(ErrorCode::mismatch, "a {} of {} limbs and scale {}, where {} and {} are due",
                      object_type_name(type), ciphertext.c0.limb_count(), ciphertext.scale, kLimbs,
                      scale);
  ciphertext.key_id = key_id;
  return {};
}

Result<ckks::SeededCiphertext> parse_seeded(const Parameters& parameters, ObjectType type,
                                            double scale, ByteView bytes) {
  BAUTA_TRY(const Envelope envelope,
            open(parameters, type, ckks::seeded_payload_bytes(parameters.ring(), kLimbs), bytes));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(ckks::SeededCiphertext ciphertext,
            ckks::read_seeded_payload(reader, parameters.ring(), kLimbs));
  BAUTA_CHECK(complete(reader, type, scale, envelope.key_id, ciphertext));
  return ciphertext;
}

}  // namespace

Bytes serialize_probe(const Parameters& parameters, const ckks::SeededCiphertext& probe) {
  return seal(parameters, ObjectType::probe, parameters.probe_scale(), probe);
}

Bytes serialize_reference(const Parameters& parameters, const ckks::SeededCiphertext& reference) {
  return seal(parameters, ObjectType::reference, parameters.reference_scale(), reference);
}

Result<ckks::SeededCiphertext> parse_probe(const Parameters& parameters, ByteView bytes) {
  return parse_seeded(parameters, ObjectType::probe, parameters.probe_scale(), bytes);
}

Result<ckks::SeededCiphertext> parse_reference(const Parameters& parameters, ByteView bytes) {
  return parse_seeded(parameters, ObjectType::reference, parameters.reference_scale(), bytes);
}

Bytes serialize_stored_reference(const Parameters& parameters, const StoredReference& reference) {
  return seal(parameters, ObjectType::stored_reference, parameters.reference_scale(),
              reference.ciphertext);
}

Result<StoredReference> parse_stored_reference(const Parameters& parameters, ByteView bytes) {
  const ObjectType type = ObjectType::stored_reference;
  BAUTA_TRY(const Envelope envelope,
            open(parameters, type, ckks::payload_bytes(parameters.ring(), kLimbs), bytes));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(ckks::CoefficientCiphertext ciphertext,
            ckks::read_payload(reader, parameters.ring(), kLimbs));
  BAUTA_CHECK(complete(reader, type, parameters.reference_scale(), envelope.key_id, ciphertext));
  return StoredReference{std::move(ciphertext)};
}

}  // namespace bauta::match
