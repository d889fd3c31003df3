// How the maps of a network lie in the slots of one ciphertext.
#pragma once

#include <span>
#include <vector>

#include "network/network.h"

namespace bauta::circuits {

// The value of channel c of patch p at position q of the map stands in slot (q * channels + c) *
// patches + p, all three numbers rounded up to powers of two; the whole repeats until the slots are
// full. A cyclic turn of the slots by whole positions is then the roll of helical padding, for all
// patches at once, and weights that do not depend on the position repeat with period().
struct Layout {
  size_t slots = 0;
  size_t side = 0;      // of a map
  size_t channels = 0;  // of a patch, in the layer that has the most
  size_t patches = 0;

  size_t positions() const { return side * side; }
  size_t period() const { return channels * patches; }
  size_t extent() const { return positions() * period(); }
  size_t slot(size_t position, size_t channel, size_t patch) const {
    return (position * channels + channel) * patches + patch;
  }

  // Values in the order of a network's maps, [patch][channel][position], into the slots.
  std::vector<double> spread(std::span<const float> maps, size_t map_patches,
                             size_t map_channels) const;
};

// Error invalid_argument: maps whose side is no power of two, or that do not fit into the slots.
Result<Layout> make_layout(const network::Network& network, size_t slots);

}  // namespace bauta::circuits
