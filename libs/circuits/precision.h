// How exact the embedding of an encrypted evaluation is, and how large its values may be.
#pragma once

#include <span>

#include "circuits/plan.h"

namespace bauta::circuits {

// The root mean square error that a schedule's noise makes in a value of the embedding of these
// input maps: that of a few evaluations in the clear with noise of the size that ckks::NoiseModel
// predicts added to every layer.
double predicted_error(const Plan& plan, const network::Network& network,
                       std::span<const float> maps);

// Below this size no value that `layer` puts out wraps around its ciphertext's modulus; of the last
// layer, none of the embedding.
double largest_value(const Plan& plan, size_t layer);

}  // namespace bauta::circuits
