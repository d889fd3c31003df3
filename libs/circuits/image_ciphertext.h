// Encrypted images as they travel.
#pragma once

#include "circuits/plan.h"
#include "ckks/ciphertext.h"
#include "ckks/encoder.h"

namespace bauta::circuits {

// The network's input maps (network::input_maps) as the message to encrypt: all limbs, the plan's
// input scale. Where an image takes several ciphertexts, what number `ciphertext` holds. As
// sensitive as the photo. Precondition: as many maps as the network has.
Result<ckks::Message> encode_image(const Plan& plan, const network::InputGeometry& geometry,
                                   std::span<const float> maps, size_t ciphertext = 0);

// What an edge sends: secret-key and seeded, under the edge's own key; 2.1 MB at 17 limbs.
Bytes serialize_image(const Plan& plan, const ckks::SeededCiphertext& image);
// Errors as ckks::open_envelope; mismatch also for an image made for another network's plan.
Result<ckks::SeededCiphertext> parse_image(const Plan& plan, ByteView bytes);
size_t image_bytes(const Plan& plan);

}  // namespace bauta::circuits
