// Networks and keys for the tests of this folder.
#pragma once

#include <random>

#include "circuits/plan.h"
#include "ckks/encoder.h"
#include "ckks/evaluator.h"
#include "secret/encryption.h"
#include "secret/key_generation.h"

namespace bauta::circuits {

struct NetworkShape {
  uint32_t patches_per_side = 1, map_side = 4, block_side = 2, channels = 4, convolutions = 2;
  uint32_t pool = 2, dimension = 64;
  // Residual blocks behind the convolutions: the channels of those with stride 2, and 0 for a block
  // that changes no shape.
  std::vector<uint32_t> blocks = {};
};

// Weights such that values stay near one.
inline network::Network random_network(const NetworkShape& shape, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const auto values = [&](size_t count, double deviation) {
    std::vector<float> list(count);
    for (float& value : list) value = static_cast<float>(deviation) * normal(random);
    return list;
  };
  network::Network network;
  network.name = "random";
  const uint32_t face_side = shape.patches_per_side * shape.map_side * shape.block_side;
  network.input = {.packed_side = face_side,
                   .side = face_side,
                   .patches_per_side = shape.patches_per_side,
                   .block_side = shape.block_side};
  const uint32_t patches = network.input.patches();
  uint32_t inputs = network.input.channels(), side = shape.map_side;
  const auto add_square = [&](uint32_t channels) {
    network.layers.emplace_back(network::Square{
        patches * channels, side, 2, values(size_t{patches} * channels * side * side, 0.3)});
  };
  for (uint32_t i = 0; i < shape.convolutions; ++i) {
    network::Convolution convolution{patches, shape.channels, inputs, i > 0, {}};
    convolution.weights =
        values(size_t{patches} * shape.channels * inputs * 9, 0.3 / std::sqrt(9.0 * inputs));
    network.layers.emplace_back(std::move(convolution));
    inputs = shape.channels;
    add_square(inputs);
  }
  for (const uint32_t strided : shape.blocks) {
    const uint32_t outputs = strided == 0 ? inputs : strided;
    network::Convolution opening{patches, outputs, inputs, false, {}};
    opening.weights = values(size_t{patches} * outputs * inputs * 9, 0.3 / std::sqrt(9.0 * inputs));
    opening.shortcut = strided == 0
                           ? values(size_t{patches} * outputs, 0.5)
                           : values(size_t{patches} * outputs * inputs, 0.5 / std::sqrt(inputs));
    opening.stride = strided == 0 ? 1 : 2;
    side /= opening.stride;
    network.layers.emplace_back(std::move(opening));
    add_square(outputs);
    network::Convolution closing{patches, outputs, outputs, false, {}};
    closing.weights =
        values(size_t{patches} * outputs * outputs * 9, 0.3 / std::sqrt(9.0 * outputs));
    network.layers.emplace_back(std::move(closing));
    add_square(outputs);
    inputs = outputs;
  }
  network::Linear linear{shape.dimension, 0, shape.pool, {}, values(shape.dimension, 0.05)};
  const uint32_t pooled_side = side / shape.pool;
  linear.inputs = patches * inputs * pooled_side * pooled_side;
  linear.weights = values(size_t{linear.outputs} * linear.inputs, 1.0 / std::sqrt(linear.inputs));
  network.layers.emplace_back(std::move(linear));
  return network;
}

inline std::vector<float> random_maps(const network::Network& network, unsigned seed = 7) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  const network::InputGeometry& input = network.input;
  std::vector<float> maps(size_t{input.patches()} * input.channels() * input.positions());
  for (float& value : maps) value = uniform(random);
  return maps;
}

inline secret::SecretKey fixed_key(const ckks::Parameters& parameters, std::string_view purpose) {
  SecretBytes seed = SecretBytes::create(secret::kSeedBytes).value();
  seed.data()[0] = 7;
  return secret::SecretKey::expand(parameters, seed, purpose).value();
}

inline std::shared_ptr<ckks::KeySet> make_keys(const Plan& plan, const secret::SecretKey& key) {
  auto keys =
      std::make_shared<ckks::KeySet>(ckks::KeySet::create(key.id(), plan.ring.stages()).value());
  for (const ckks::KeyUse& use : plan.keys) {
    const ckks::KeySwitchShape shape = *keys->stage(use.limbs);
    const Status added =
        use.element == ckks::KeyUse::kRelinearization
            ? keys->add(secret::generate_relinearization_key(key, shape).value())
            : keys->add(secret::generate_galois_key(key, use.element, shape).value());
    BAUTA_ASSERT(added.ok());
  }
  return keys;
}

inline ckks::EvaluationCiphertext encrypt_slots(const Plan& plan, const secret::SecretKey& key,
                                                std::span<const ckks::Complex> slots) {
  const ckks::Encoder encoder(plan.ring.parameters().degree());
  const ckks::Message message = encoder.encode(slots, plan.input_scale).value();
  return to_evaluation(expand(secret::encrypt(key, message, plan.ring.limbs()).value()));
}

inline std::vector<ckks::Complex> decrypt_slots(const secret::SecretKey& key,
                                                const ckks::EvaluationCiphertext& ciphertext) {
  const auto decrypted = secret::decrypt(key, to_coefficient(ciphertext.clone())).value();
  std::vector<ring::ConstLimb> limbs;
  for (size_t i = 0; i < decrypted.limb_count(); ++i) limbs.push_back(decrypted.limb(i));
  return ckks::Encoder(decrypted.degree())
      .decode(ckks::centred_values(limbs, decrypted.basis()), ciphertext.scale);
}

}  // namespace bauta::circuits
