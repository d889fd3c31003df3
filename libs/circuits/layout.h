// How the maps of a network lie in the slots of ciphertexts.
#pragma once

#include <span>
#include <vector>

#include "network/network.h"

namespace bauta::circuits {

// Patches are taken together in groups, as many as a ciphertext has room for, and the maps of a
// group lie in lead() ciphertexts: row y of a map in number y mod lead(), its strand, as row
// y / lead() there. There the value of channel c of the group's patch p at position q of the strand
// stands in slot (q * channels + c) * patches + p, and the whole repeats until the slots are full.
//
// A cyclic turn of the slots by whole positions is then the roll of helical padding
// (docs/formats/network.md), for all patches at once, and weights that do not depend on the
// position repeat with period(). Behind a convolution with stride 2 half of the strands are left;
// what stood in odd columns makes room for twice the channels, so that rows stay as long as they
// were.
struct Layout {
  size_t slots = 0;
  size_t rows = 0;      // of a strand, as many as the last maps have
  size_t side = 0;      // of a map
  size_t channels = 0;  // of a patch, that there is room for
  size_t patches = 0;   // of a group

  size_t lead() const { return side / rows; }
  size_t positions() const { return rows * side; }  // of a strand
  size_t period() const { return channels * patches; }
  size_t extent() const { return positions() * period(); }
  size_t slot(size_t position, size_t channel, size_t patch) const {
    return (position * channels + channel) * patches + patch;
  }
  size_t groups(size_t map_patches) const { return (map_patches + patches - 1) / patches; }

  // Values in the order of a network's maps, [patch][channel][row][column], into the slots of one
  // group's strand.
  std::vector<double> spread(std::span<const float> maps, size_t map_patches, size_t map_channels,
                             size_t group, size_t strand) const;
};

// Of the maps that each layer takes. Error invalid_argument: maps whose side is no power of two, or
// of which not even one patch fits into the slots.
Result<std::vector<Layout>> make_layouts(const network::Network& network, size_t slots);

}  // namespace bauta::circuits
