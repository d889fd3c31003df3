#include "circuits/layout.h"

#include <algorithm>
#include <bit>

namespace bauta::circuits {

std::vector<double> Layout::spread(std::span<const float> maps, size_t map_patches,
                                   size_t map_channels, size_t group, size_t strand) const {
  BAUTA_ASSERT(maps.size() == map_patches * map_channels * side * side);
  BAUTA_ASSERT(group < groups(map_patches) && strand < lead());
  std::vector<double> values(slots);
  const size_t first = group * patches;
  for (size_t patch = first; patch < std::min(first + patches, map_patches); ++patch)
    for (size_t channel = 0; channel < map_channels; ++channel) {
      const std::span map =
          maps.subspan((patch * map_channels + channel) * side * side, side * side);
      for (size_t q = 0; q < positions(); ++q) {
        const double value = map[(q / side * lead() + strand) * side + q % side];
        for (size_t s = slot(q, channel, patch - first); s < slots; s += extent())
          values[s] = value;
      }
    }
  return values;
}

Result<std::vector<Layout>> make_layouts(const network::Network& network, size_t slots) {
  const std::vector<uint32_t> sides = network.map_sides();
  const size_t rows = sides.back();
  // Room for channels in the last maps, such that all maps before have room for theirs.
  size_t last_channels = std::bit_ceil(size_t{network.input.channels()} * sides[0] / rows);
  for (size_t i = 0; i < network.layers.size(); ++i)
    if (const auto* convolution = std::get_if<network::Convolution>(&network.layers[i]))
      last_channels = std::max(last_channels,
                               std::bit_ceil(size_t{convolution->outputs} * sides[i + 1] / rows));
  if (!std::has_single_bit(sides[0]))
    return make_error(ErrorCode::invalid_argument,
                      "network {} has maps of side {}; encrypted, a side must be a power of two",
                      network.name, sides[0]);
  // Weights are kept for a 16th of the slots at most (ckks/periodic_factors.h).
  Layout last{slots, rows, rows, last_channels, std::bit_ceil(size_t{network.input.patches()})};
  while (last.patches > 1 && (last.extent() > slots || last.period() > slots / 16))
    last.patches /= 2;
  if (last.extent() > slots || last.period() > slots / 16)
    return make_error(ErrorCode::invalid_argument,
                      "network {} has patches of {} values in {} channels; a ciphertext has room "
                      "for {} values in {} channels",
                      network.name, last.extent(), last.period(), slots, slots / 16);
  std::vector<Layout> layouts;
  for (const uint32_t side : sides)
    layouts.push_back({slots, rows, side, last_channels * rows / side, last.patches});
  return layouts;
}

}  // namespace bauta::circuits
