#include "network/ranges.h"

#include <algorithm>
#include <cmath>

namespace bauta::network {

Ranges::Ranges(const Network& network) : network_(network), largest_(network.layers.size()) {}

void Ranges::operator()(size_t layer, std::span<const float> output) {
  if (std::holds_alternative<Square>(network_.layers[layer]))
    largest_[layer] = std::max(largest_[layer], std::sqrt(std::ranges::max(output)));
}

bool Ranges::kept() const {
  for (size_t i = 0; i < largest_.size(); ++i)
    if (const auto* square = std::get_if<Square>(&network_.layers[i]))
      if (!(largest_[i] <= square->bound)) return false;
  return true;
}

}  // namespace bauta::network
