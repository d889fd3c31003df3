// The linear layers of a network as sums of turned slots times factors.
#pragma once

#include <span>
#include <vector>

#include "circuits/layout.h"
#include "ckks/evaluator.h"

namespace bauta::circuits {

// A convolution in baby steps and giant steps: for every strand of the output the sum over g of a
// turn by giants[g] of the sum over its terms of a factor times a turn of a strand of the input.
//
// Row y of the output takes row stride * y + dy of the input through a row of taps: of its own
// strand, or of a neighbouring one, perhaps a row further on or back there, which is a turn by
// side * period. In that row output channel o takes input channel i through tap dx from a slot that
// is e * patches ahead, with e = dx * channels + i - o for the input's room for channels. e and o
// give i and dx back, so there are few diagonals, and no mask is needed.
struct ConvolutionSteps {
  std::vector<ckks::Turn> turns;           // of the strands of the input
  std::vector<std::vector<size_t>> terms;  // [output strand][dy, then e modulo the baby count]
  std::vector<int64_t> giants;
  // The shortcut that projects has terms with dy = 0 and these giants alone.
  size_t baby_count = 0, shortcut_giant = 0, shortcut_giants = 0;

  std::span<const size_t> shortcut_terms(size_t strand) const {
    return std::span(terms[strand]).subspan(baby_count, baby_count);
  }
};

// baby_count: of steps in e; a power of two.
ConvolutionSteps convolution_steps(const network::Convolution& convolution, const Layout& input,
                                   const Layout& output, size_t baby_count);

// The factors for a group of patches, a period of the output of each, in the order [giant][term].
// All strands have the same.
std::vector<std::vector<double>> convolution_factors(const network::Convolution& convolution,
                                                     const Layout& input, const Layout& output,
                                                     const ConvolutionSteps& steps, size_t group);
// Likewise, of a shortcut that projects.
std::vector<std::vector<double>> shortcut_factors(const network::Convolution& convolution,
                                                  const Layout& input, const Layout& output,
                                                  const ConvolutionSteps& steps, size_t group);

// A template of width r in the slots: the polynomial that has value k of d <= r at coefficient
// k * N/r. Its slots repeat with period r/2.
std::vector<ckks::Complex> template_slots(std::span<const float> values, size_t width);
// Value k of such slots, for k < count: coefficient k * N/r, whatever stands in the others.
std::vector<double> template_values(std::span<const ckks::Complex> slots, size_t width,
                                    size_t count);

// Pooling, the linear layer and template_slots as one map in baby steps and giant steps, all of one
// slot; and then a sum of turns by the powers of two of r/2 below the extent.
struct LinearSteps {
  size_t baby_count = 0;
  std::vector<int64_t> giants;  // r/2 of both together
  std::vector<int64_t> sums;
};
LinearSteps linear_steps(const Layout& layout, size_t width);

// The factors of giant step g, all slots of each.
std::vector<std::vector<ckks::Complex>> linear_factors(
    std::span<const std::vector<ckks::Complex>> matrix, const Layout& layout,
    const LinearSteps& steps, size_t giant);

// Row j < r/2: what slot j of the template takes from each slot of the extent of a group of
// patches.
std::vector<std::vector<ckks::Complex>> linear_matrix(const network::Linear& linear,
                                                      size_t map_patches, size_t group,
                                                      const Layout& layout, size_t width);

}  // namespace bauta::circuits
