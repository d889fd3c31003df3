#include "circuits/image_ciphertext.h"

#include "ckks/envelope.h"

namespace bauta::circuits {

Result<ckks::Message> encode_image(const Plan& plan, const network::InputGeometry& geometry,
                                   std::span<const float> maps, size_t ciphertext) {
  const ckks::Encoder encoder(plan.ring.parameters().degree());
  const Layout& layout = plan.layouts.front();
  return encoder.encode(layout.spread(maps, geometry.patches(), geometry.channels(),
                                      ciphertext / layout.lead(), ciphertext % layout.lead()),
                        plan.input_scale);
}

Bytes serialize_image(const Plan& plan, const ckks::SeededCiphertext& image) {
  BAUTA_ASSERT(image.c0.limb_count() == plan.ring.limbs() && image.scale == plan.input_scale);
  ByteWriter payload;
  write_payload(payload, image);
  return ckks::seal_envelope(
      {.type = ckks::ObjectType::image, .parameters = plan.digest, .key_id = image.key_id},
      payload.bytes());
}

Result<ckks::SeededCiphertext> parse_image(const Plan& plan, ByteView bytes) {
  const ckks::ObjectType type = ckks::ObjectType::image;
  const ckks::Parameters& parameters = plan.ring.parameters();
  const size_t limbs = plan.ring.limbs();
  BAUTA_TRY(const ckks::Envelope envelope,
            ckks::open_envelope(
                bytes, {.type = type,
                        .parameters = plan.digest,
                        .max_payload_bytes = ckks::seeded_payload_bytes(parameters, limbs)}));
  ByteReader reader(envelope.payload, ckks::object_type_name(type));
  BAUTA_TRY(ckks::SeededCiphertext image, ckks::read_seeded_payload(reader, parameters, limbs));
  BAUTA_CHECK(reader.finish());
  if (image.c0.limb_count() != limbs || image.scale != plan.input_scale)
    return make_error(ErrorCode::mismatch,
                      "an encrypted image of {} limbs and scale {}, where {} and {} are due",
                      image.c0.limb_count(), image.scale, limbs, plan.input_scale);
  image.key_id = envelope.key_id;
  return image;
}

size_t image_bytes(const Plan& plan) {
  return ckks::kEnvelopeHeaderBytes +
         ckks::seeded_payload_bytes(plan.ring.parameters(), plan.ring.limbs());
}

}  // namespace bauta::circuits
