#include "ckks/keys.h"

#include <algorithm>

#include "ckks/envelope.h"
#include "ckks/packing.h"

namespace bauta::ckks {
namespace {

constexpr size_t kShapeBytes = 4 * 2;

Status read_shape(ByteReader& reader, const KeySwitchShape& expected) {
  KeySwitchShape shape;
  for (size_t* field :
       {&shape.limbs, &shape.special_begin, &shape.special_count, &shape.digit_limbs}) {
    BAUTA_TRY(*field, reader.u16());
  }
  if (shape == expected) return {};
  return make_error(ErrorCode::mismatch,
                    "a key for {} limbs in digits of {} with {} special moduli from number {}, "
                    "where {}, {}, {} and {} are wanted",
                    shape.limbs, shape.digit_limbs, shape.special_count, shape.special_begin,
                    expected.limbs, expected.digit_limbs, expected.special_count,
                    expected.special_begin);
}

Bytes seal_key(const Parameters& parameters, ObjectType type, const SwitchingKey& key,
               ByteView payload) {
  return seal_envelope({.type = type, .parameters = parameters.digest(), .key_id = key.to},
                       payload);
}

Result<Envelope> open_key(const Parameters& parameters, ObjectType type, size_t payload_bytes,
                          ByteView bytes) {
  return open_envelope(
      bytes, {.type = type, .parameters = parameters.digest(), .max_payload_bytes = payload_bytes});
}

// A key that is a switching key and nothing else.
Result<SwitchingKey> parse_key(const Parameters& parameters, const KeySwitchShape& shape,
                               ObjectType type, ByteView bytes) {
  BAUTA_TRY(const Envelope envelope,
            open_key(parameters, type, switching_key_payload_bytes(parameters, shape), bytes));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(SwitchingKey key,
            read_switching_key_payload(reader, parameters, shape, envelope.key_id));
  BAUTA_CHECK(reader.finish());
  return key;
}

}  // namespace

ring::Basis KeySwitchShape::basis(const Parameters& parameters) const {
  const ring::Basis& all = parameters.all_moduli();
  return all.prefix(limbs).joined(all.slice(special_begin, special_count));
}

KeySwitchShape top_shape(const Parameters& parameters, size_t digit_limbs) {
  const size_t limbs = parameters.primes().size();
  return {limbs, limbs, parameters.special_primes().size(), digit_limbs};
}

Status check_shape(const Parameters& parameters, const KeySwitchShape& shape) {
  const ring::Basis& all = parameters.all_moduli();
  if (shape.limbs == 0 || shape.limbs > parameters.primes().size() || shape.special_count == 0 ||
      shape.digit_limbs == 0 || shape.special_begin < shape.limbs ||
      shape.special_begin > all.size() || shape.special_count > all.size() - shape.special_begin)
    return make_error(ErrorCode::invalid_argument,
                      "a key switch of {} limbs with {} special moduli from number {} does not fit "
                      "parameters of {} primes and {} special primes",
                      shape.limbs, shape.special_count, shape.special_begin,
                      parameters.primes().size(), parameters.special_primes().size());
  const double log2_special = all.slice(shape.special_begin, shape.special_count).log2_modulus();
  for (size_t begin = 0; begin < shape.limbs; begin += shape.digit_limbs) {
    const size_t count = std::min(shape.digit_limbs, shape.limbs - begin);
    const double log2_digit = all.slice(begin, count).log2_modulus();
    // A special modulus a hair below the digit is what equal prime counts give; it is as good.
    if (log2_digit > log2_special + 1)
      return make_error(ErrorCode::invalid_argument,
                        "the special moduli of {:.1f} bits are smaller than a digit of {:.1f} bits",
                        log2_special, log2_digit);
  }
  return {};
}

void expand_uniform_halves(const Parameters& parameters, SwitchingKey& key) {
  key.a.clear();
  const ring::Basis basis = key.shape.basis(parameters);
  for (size_t d = 0; d < key.shape.digits(); ++d)
    key.a.push_back(
        ring::sample_uniform<ring::Form::evaluation>(key.seed, kSwitchingKeyPurpose, d, basis));
}

uint32_t inverse_galois_element(uint32_t element, size_t degree) {
  BAUTA_ASSERT(element % 2 == 1);
  // Newton's iteration doubles the correct bits each time; three are correct at the start.
  uint32_t inverse = element;
  for (int i = 0; i < 4; ++i) inverse *= 2 - element * inverse;
  return inverse % static_cast<uint32_t>(2 * degree);
}

Bytes serialize(const Parameters& parameters, const SwitchingKey& key) {
  ByteWriter payload;
  write_payload(payload, key);
  return seal_key(parameters, ObjectType::switching_key, key, payload.bytes());
}

Bytes serialize(const Parameters& parameters, const GaloisKey& key) {
  ByteWriter payload;
  payload.u32(key.element);
  write_payload(payload, key.key);
  return seal_key(parameters, ObjectType::galois_key, key.key, payload.bytes());
}

Bytes serialize(const Parameters& parameters, const RelinearizationKey& key) {
  ByteWriter payload;
  write_payload(payload, key.key);
  return seal_key(parameters, ObjectType::relinearization_key, key.key, payload.bytes());
}

Bytes serialize(const Parameters& parameters, const PublicKey& key) {
  ByteWriter payload;
  payload.raw(key.seed);
  pack_polynomial(payload, key.b);
  return seal_envelope(
      {.type = ObjectType::public_key, .parameters = parameters.digest(), .key_id = key.key_id},
      payload.bytes());
}

size_t galois_key_bytes(const Parameters& parameters, const KeySwitchShape& shape) {
  return kEnvelopeHeaderBytes + 4 + switching_key_payload_bytes(parameters, shape);
}

Result<SwitchingKey> parse_switching_key(const Parameters& parameters, const KeySwitchShape& shape,
                                         ByteView bytes) {
  return parse_key(parameters, shape, ObjectType::switching_key, bytes);
}

Result<GaloisKey> parse_galois_key(const Parameters& parameters, const KeySwitchShape& shape,
                                   ByteView bytes) {
  const ObjectType type = ObjectType::galois_key;
  BAUTA_TRY(const Envelope envelope,
            open_key(parameters, type, 4 + switching_key_payload_bytes(parameters, shape), bytes));
  ByteReader reader(envelope.payload, object_type_name(type));
  BAUTA_TRY(const uint32_t element, reader.u32());
  if (element % 2 == 0 || element >= 2 * parameters.degree())
    return make_error(ErrorCode::corrupt, "a Galois key for X -> X^{}, which is no automorphism",
                      element);
  BAUTA_TRY(SwitchingKey key,
            read_switching_key_payload(reader, parameters, shape, envelope.key_id));
  BAUTA_CHECK(reader.finish());
  return GaloisKey{element, std::move(key)};
}

Result<RelinearizationKey> parse_relinearization_key(const Parameters& parameters,
                                                     const KeySwitchShape& shape, ByteView bytes) {
  BAUTA_TRY(SwitchingKey key, parse_key(parameters, shape, ObjectType::relinearization_key, bytes));
  return RelinearizationKey{std::move(key)};
}

Result<PublicKey> parse_public_key(const Parameters& parameters, ByteView bytes) {
  const ObjectType type = ObjectType::public_key;
  const ring::Basis& moduli = parameters.all_moduli();
  BAUTA_TRY(const Envelope envelope,
            open_key(parameters, type, ring::kSeedBytes + packed_bytes(moduli), bytes));
  ByteReader reader(envelope.payload, object_type_name(type));
  PublicKey key;
  key.key_id = envelope.key_id;
  BAUTA_TRY(const ByteView seed, reader.raw(key.seed.size()));
  std::ranges::copy(seed, key.seed.begin());
  BAUTA_TRY(key.b, unpack_polynomial<ring::Form::evaluation>(reader, moduli));
  BAUTA_CHECK(reader.finish());
  key.a = ring::sample_uniform<ring::Form::evaluation>(key.seed, kPublicKeyPurpose, 0, moduli);
  return key;
}

void write_payload(ByteWriter& writer, const SwitchingKey& key) {
  for (const size_t field :
       {key.shape.limbs, key.shape.special_begin, key.shape.special_count, key.shape.digit_limbs})
    writer.u16(static_cast<uint16_t>(field));
  writer.raw(key.from.bytes);
  writer.raw(key.seed);
  for (const ring::EvaluationPolynomial& digit : key.b) pack_polynomial(writer, digit);
}

size_t switching_key_payload_bytes(const Parameters& parameters, const KeySwitchShape& shape) {
  return kShapeBytes + sizeof(KeyId) + ring::kSeedBytes +
         shape.digits() * packed_bytes(shape.basis(parameters));
}

Result<SwitchingKey> read_switching_key_payload(ByteReader& reader, const Parameters& parameters,
                                                const KeySwitchShape& shape, const KeyId& to) {
  BAUTA_CHECK(read_shape(reader, shape));
  SwitchingKey key{.shape = shape, .from = {}, .to = to, .seed = {}, .b = {}, .a = {}};
  BAUTA_TRY(const ByteView from, reader.raw(sizeof(KeyId)));
  std::ranges::copy(from, key.from.bytes.begin());
  BAUTA_TRY(const ByteView seed, reader.raw(key.seed.size()));
  std::ranges::copy(seed, key.seed.begin());
  const ring::Basis basis = shape.basis(parameters);
  for (size_t d = 0; d < shape.digits(); ++d) {
    BAUTA_TRY(auto digit, unpack_polynomial<ring::Form::evaluation>(reader, basis));
    key.b.push_back(std::move(digit));
  }
  expand_uniform_halves(parameters, key);
  return key;
}

}  // namespace bauta::ckks
