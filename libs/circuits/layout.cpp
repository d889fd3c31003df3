#include "circuits/layout.h"

#include <algorithm>
#include <bit>

namespace bauta::circuits {

std::vector<double> Layout::spread(std::span<const float> maps, size_t map_patches,
                                   size_t map_channels) const {
  BAUTA_ASSERT(maps.size() == map_patches * map_channels * positions());
  std::vector<double> values(slots);
  for (size_t patch = 0; patch < map_patches; ++patch)
    for (size_t channel = 0; channel < map_channels; ++channel)
      for (size_t q = 0; q < positions(); ++q) {
        const double value = maps[(patch * map_channels + channel) * positions() + q];
        for (size_t s = slot(q, channel, patch); s < slots; s += extent()) values[s] = value;
      }
  return values;
}

Result<Layout> make_layout(const network::Network& network, size_t slots) {
  Layout layout{slots, network.input.map_side(), network.input.channels(),
                std::bit_ceil(size_t{network.input.patches()})};
  for (const network::Layer& layer : network.layers)
    if (const auto* convolution = std::get_if<network::Convolution>(&layer)) {
      layout.channels = std::max<size_t>(layout.channels, convolution->outputs);
      if (convolution->opens_block())
        return make_error(ErrorCode::invalid_argument,
                          "network {} has residual blocks, which are not evaluated encrypted",
                          network.name);
    }
  layout.channels = std::bit_ceil(layout.channels);
  if (!std::has_single_bit(layout.side))
    return make_error(ErrorCode::invalid_argument,
                      "network {} has maps of side {}; encrypted, a side must be a power of two",
                      network.name, layout.side);
  // Weights are kept for a 16th of the slots at most (ckks/periodic_factors.h).
  if (layout.extent() > slots || layout.period() > slots / 16)
    return make_error(ErrorCode::invalid_argument,
                      "network {} has maps of {} values in {} channels; a ciphertext has room for "
                      "{} values in {} channels",
                      network.name, layout.extent(), layout.period(), slots, slots / 16);
  return layout;
}

}  // namespace bauta::circuits
