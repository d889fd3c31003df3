// Whether a network's values stay where it was made for.
#pragma once

#include <span>

#include "network/network.h"

namespace bauta::network {

// Watches evaluations of a network: evaluate(network, maps, std::ref(ranges)). The network must
// outlive it.
class Ranges {
 public:
  explicit Ranges(const Network& network);

  // A LayerObserver.
  void operator()(size_t layer, std::span<const float> output);

  // By layer, the largest |x + shift| so far; 0 where the layer is no square.
  std::span<const float> largest() const { return largest_; }
  // No square has left its bound.
  bool kept() const;

 private:
  const Network& network_;
  std::vector<float> largest_;
};

}  // namespace bauta::network
