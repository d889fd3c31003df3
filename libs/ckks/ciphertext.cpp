#include "ckks/ciphertext.h"

#include <cmath>

#include "ckks/envelope.h"
#include "ckks/packing.h"

namespace bauta::ckks {
namespace {

constexpr size_t kPrefixBytes = 2 + 8;  // limbs, scale

void write_prefix(ByteWriter& writer, size_t limbs, double scale) {
  writer.u16(static_cast<uint16_t>(limbs));
  writer.f64(scale);
}

struct Prefix {
  ring::Basis basis;
  double scale;
};

Result<Prefix> read_prefix(ByteReader& reader, const Parameters& parameters, size_t max_limbs) {
  BAUTA_TRY(const uint16_t limbs, reader.u16());
  if (limbs == 0 || limbs > max_limbs)
    return make_error(ErrorCode::corrupt, "a ciphertext of {} limbs where 1 to {} may stand", limbs,
                      max_limbs);
  BAUTA_TRY(const double scale, reader.f64());
  if (!std::isnormal(scale) || scale <= 0)
    return make_error(ErrorCode::corrupt, "a ciphertext whose scale is not a positive number");
  return Prefix{parameters.ciphertext_moduli().prefix(limbs), scale};
}

}  // namespace

EvaluationCiphertext to_evaluation(CoefficientCiphertext&& ciphertext, ThreadPool* pool) {
  return {to_evaluation(std::move(ciphertext.c0), pool),
          to_evaluation(std::move(ciphertext.c1), pool), ciphertext.scale, ciphertext.key_id};
}

CoefficientCiphertext to_coefficient(EvaluationCiphertext&& ciphertext, ThreadPool* pool) {
  return {to_coefficient(std::move(ciphertext.c0), pool),
          to_coefficient(std::move(ciphertext.c1), pool), ciphertext.scale, ciphertext.key_id};
}

CoefficientCiphertext expand(const SeededCiphertext& ciphertext) {
  return {ciphertext.c0.clone(),
          ring::sample_uniform<ring::Form::coefficient>(ciphertext.seed, kCiphertextPurpose, 0,
                                                        ciphertext.c0.basis()),
          ciphertext.scale, ciphertext.key_id};
}

void write_payload(ByteWriter& writer, const SeededCiphertext& ciphertext) {
  write_prefix(writer, ciphertext.c0.limb_count(), ciphertext.scale);
  writer.raw(ciphertext.seed);
  pack_polynomial(writer, ciphertext.c0);
}

void write_payload(ByteWriter& writer, const CoefficientCiphertext& ciphertext) {
  write_prefix(writer, ciphertext.limbs(), ciphertext.scale);
  pack_polynomial(writer, ciphertext.c0);
  pack_polynomial(writer, ciphertext.c1);
}

Result<SeededCiphertext> read_seeded_payload(ByteReader& reader, const Parameters& parameters,
                                             size_t max_limbs) {
  BAUTA_TRY(const Prefix prefix, read_prefix(reader, parameters, max_limbs));
  SeededCiphertext ciphertext;
  ciphertext.scale = prefix.scale;
  BAUTA_TRY(const ByteView seed, reader.raw(ciphertext.seed.size()));
  std::copy(seed.begin(), seed.end(), ciphertext.seed.begin());
  BAUTA_TRY(ciphertext.c0, unpack_polynomial<ring::Form::coefficient>(reader, prefix.basis));
  return ciphertext;
}

Result<CoefficientCiphertext> read_payload(ByteReader& reader, const Parameters& parameters,
                                           size_t max_limbs) {
  BAUTA_TRY(const Prefix prefix, read_prefix(reader, parameters, max_limbs));
  CoefficientCiphertext ciphertext;
  ciphertext.scale = prefix.scale;
  BAUTA_TRY(ciphertext.c0, unpack_polynomial<ring::Form::coefficient>(reader, prefix.basis));
  BAUTA_TRY(ciphertext.c1, unpack_polynomial<ring::Form::coefficient>(reader, prefix.basis));
  return ciphertext;
}

size_t seeded_payload_bytes(const Parameters& parameters, size_t limbs) {
  return kPrefixBytes + ring::kSeedBytes +
         packed_bytes(parameters.ciphertext_moduli().prefix(limbs));
}

size_t payload_bytes(const Parameters& parameters, size_t limbs) {
  return kPrefixBytes + 2 * packed_bytes(parameters.ciphertext_moduli().prefix(limbs));
}

Bytes serialize(const Parameters& parameters, const SeededCiphertext& ciphertext) {
  ByteWriter payload;
  write_payload(payload, ciphertext);
  return seal_envelope({.type = ObjectType::seeded_ciphertext,
                        .parameters = parameters.digest(),
                        .key_id = ciphertext.key_id},
                       payload.bytes());
}

Bytes serialize(const Parameters& parameters, const CoefficientCiphertext& ciphertext) {
  ByteWriter payload;
  write_payload(payload, ciphertext);
  return seal_envelope({.type = ObjectType::ciphertext,
                        .parameters = parameters.digest(),
                        .key_id = ciphertext.key_id},
                       payload.bytes());
}

Result<SeededCiphertext> parse_seeded_ciphertext(const Parameters& parameters, ByteView bytes) {
  const size_t max_limbs = parameters.primes().size();
  BAUTA_TRY(
      const Envelope envelope,
      open_envelope(bytes, {.type = ObjectType::seeded_ciphertext,
                            .parameters = parameters.digest(),
                            .max_payload_bytes = seeded_payload_bytes(parameters, max_limbs)}));
  ByteReader reader(envelope.payload, object_type_name(ObjectType::seeded_ciphertext));
  BAUTA_TRY(SeededCiphertext ciphertext, read_seeded_payload(reader, parameters, max_limbs));
  BAUTA_CHECK(reader.finish());
  ciphertext.key_id = envelope.key_id;
  return ciphertext;
}

Result<CoefficientCiphertext> parse_ciphertext(const Parameters& parameters, ByteView bytes) {
  const size_t max_limbs = parameters.primes().size();
  BAUTA_TRY(const Envelope envelope,
            open_envelope(bytes, {.type = ObjectType::ciphertext,
                                  .parameters = parameters.digest(),
                                  .max_payload_bytes = payload_bytes(parameters, max_limbs)}));
  ByteReader reader(envelope.payload, object_type_name(ObjectType::ciphertext));
  BAUTA_TRY(CoefficientCiphertext ciphertext, read_payload(reader, parameters, max_limbs));
  BAUTA_CHECK(reader.finish());
  ciphertext.key_id = envelope.key_id;
  return ciphertext;
}

}  // namespace bauta::ckks
