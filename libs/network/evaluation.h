// A network evaluated in the clear: the same program as the encrypted one, on floats.
#pragma once

#include <functional>

#include "network/network.h"

namespace bauta::network {

// The network's input maps, [patch][channel][row][column], values in [-1, 1], from an aligned face:
// kFaceSide x kFaceSide RGB pixels, row by row.
// Precondition: rgb.size() == kFaceSide * kFaceSide * 3.
std::vector<float> input_maps(ByteView rgb, const InputGeometry& geometry);
// The same from a face that is scaled already: packed_side x packed_side RGB pixels, 0 to 255.
// Precondition: rgb.size() == packed_side * packed_side * 3.
std::vector<float> input_maps_of_scaled(std::span<const float> rgb, const InputGeometry& geometry);

// Called with the index of each layer and its output maps, in order; what it changes in them, the
// next layer sees.
using LayerObserver = std::function<void(size_t layer, std::span<float> output)>;

// The embedding of input maps, not normalised. The same on every machine with IEEE arithmetic up to
// the compiler's contractions. Thread-safe.
// Precondition: maps.size() == patches * channels * positions of network.input.
std::vector<float> evaluate(const Network& network, std::span<const float> maps,
                            const LayerObserver& observer = {});

}  // namespace bauta::network
