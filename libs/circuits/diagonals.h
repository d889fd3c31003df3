// The linear layers of a network as sums of turned slots times factors.
#pragma once

#include <span>
#include <vector>

#include "circuits/layout.h"
#include "ckks/slot_transform.h"

namespace bauta::circuits {

// A convolution in baby steps and giant steps: the sum over g of a turn by giants[g] of the sum
// over t of factor (g, t) times a turn by babies[t].
//
// Output channel o takes input channel i through tap (dy, dx) from a slot that is
// (dy * side + dx) * period + (i - o) * patches ahead. With e = dx * channels + i - o that is
// dy * side * period + e * patches, and e and o give i and dx back: 3 x (4 * channels) diagonals,
// those of e < -2 * channels + 1 and e >= 2 * channels being empty, in which no mask is needed.
struct ConvolutionSteps {
  std::vector<int64_t> babies;  // (dy, e modulo the baby count), dy the slower
  std::vector<int64_t> giants;
};

// baby_count: of steps in e; a power of two up to 4 * channels.
ConvolutionSteps convolution_steps(const Layout& layout, size_t baby_count);

// The factors, a period of each, in the order [giant][baby].
std::vector<std::vector<double>> convolution_factors(const network::Convolution& convolution,
                                                     const Layout& layout, size_t baby_count);

// A template of width r in the slots: the polynomial that has value k of d <= r at coefficient
// k * N/r. Its slots repeat with period r/2.
std::vector<ckks::Complex> template_slots(std::span<const float> values, size_t width);
// Value k of such slots, for k < count: coefficient k * N/r, whatever stands in the others.
std::vector<double> template_values(std::span<const ckks::Complex> slots, size_t width,
                                    size_t count);

// Pooling, the linear layer and template_slots as one map in baby steps and giant steps, all of one
// slot; and then a sum of turns by the powers of two of r/2 below the extent.
struct LinearSteps {
  size_t baby_count = 0, giant_count = 0;  // their product is r/2
  std::vector<int64_t> sums;
};
LinearSteps linear_steps(const Layout& layout, size_t width);

// The factors of giant step g, all slots of each.
std::vector<std::vector<ckks::Complex>> linear_factors(
    std::span<const std::vector<ckks::Complex>> matrix, const Layout& layout,
    const LinearSteps& steps, size_t giant);

// Row j < r/2: what slot j of the template takes from each slot of the extent.
std::vector<std::vector<ckks::Complex>> linear_matrix(const network::Linear& linear,
                                                      size_t map_patches, size_t map_channels,
                                                      const Layout& layout, size_t width);

}  // namespace bauta::circuits
