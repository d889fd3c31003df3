#include "circuits/diagonals.h"

#include <algorithm>
#include <bit>
#include <map>

namespace bauta::circuits {
namespace {

constexpr int64_t kReach = 1;  // of a 3x3 tap
constexpr size_t kTaps = 2 * kReach + 1;

// x modulo a power of two.
size_t wrap(int64_t x, size_t modulus) {
  return static_cast<size_t>(x) & (modulus - 1);
}

// The largest multiple of a power of two that is not above x.
int64_t multiple_below(int64_t x, size_t factor) {
  return x & -static_cast<int64_t>(factor);
}

// What diagonals e there are: with the columns dx of taps, from -reach to reach.
struct DiagonalRange {
  int64_t first = 0, last = 0;
};

DiagonalRange diagonals(const network::Convolution& convolution, const Layout& input,
                        int64_t reach) {
  const int64_t step = reach * static_cast<int64_t>(input.channels);
  return {-step - static_cast<int64_t>(convolution.outputs) + 1,
          step + static_cast<int64_t>(convolution.inputs) - 1};
}

// Weights by (patch, output, input, column): a row of taps, or a shortcut.
template <typename Weight>
std::vector<double> diagonal(const network::Convolution& convolution, const Layout& input,
                             const Layout& output, size_t group, int64_t e, int64_t reach,
                             const Weight& weight) {
  const auto channels = static_cast<int64_t>(input.channels);
  std::vector<double> values(output.period());
  for (size_t o = 0; o < convolution.outputs; ++o) {
    const int64_t place = e + static_cast<int64_t>(o) + channels * reach;
    if (place < 0 || place >= channels * (2 * reach + 1)) continue;
    const auto i = static_cast<size_t>(place % channels);
    const auto column = static_cast<size_t>(place / channels);
    if (i >= convolution.inputs) continue;
    for (size_t p = 0; p < output.patches; ++p) {
      const size_t patch = group * output.patches + p;
      if (patch < convolution.patches)
        values[o * output.patches + p] =
            weight((patch * convolution.outputs + o) * convolution.inputs + i, column);
    }
  }
  return values;
}

// A giant step turns the products too, so their factors are made that much further on.
void turn_back(std::vector<double>& factor, int64_t steps) {
  const size_t places = wrap(steps, factor.size());
  std::rotate(factor.begin(), factor.end() - static_cast<ptrdiff_t>(places), factor.end());
}

}  // namespace

ConvolutionSteps convolution_steps(const network::Convolution& convolution, const Layout& input,
                                   const Layout& output, size_t baby_count) {
  const auto patches = static_cast<int64_t>(input.patches);
  const auto row = static_cast<int64_t>(input.side * input.period());
  const auto lead = static_cast<int64_t>(input.lead());
  ConvolutionSteps steps;
  steps.baby_count = baby_count;
  std::map<ckks::Turn, size_t> numbers;
  for (size_t strand = 0; strand < output.lead(); ++strand) {
    std::vector<size_t>& terms = steps.terms.emplace_back();
    for (int64_t dy = -kReach; dy <= kReach; ++dy) {
      const int64_t y = static_cast<int64_t>(convolution.stride * strand) + dy;
      const int64_t source = (y + lead) % lead;
      for (size_t baby = 0; baby < baby_count; ++baby) {
        const ckks::Turn turn{static_cast<size_t>(source),
                              (y - source) / lead * row + static_cast<int64_t>(baby) * patches};
        const auto [number, added] = numbers.emplace(turn, steps.turns.size());
        if (added) steps.turns.push_back(turn);
        terms.push_back(number->second);
      }
    }
  }
  const auto [first, last] = diagonals(convolution, input, kReach);
  const auto [shortcut_first, shortcut_last] = diagonals(convolution, input, 0);
  const auto count = static_cast<int64_t>(baby_count);
  const int64_t begin = multiple_below(first, baby_count);
  for (int64_t e = begin; e <= last; e += count) steps.giants.push_back(e * patches);
  const int64_t shortcut_begin = multiple_below(shortcut_first, baby_count);
  steps.shortcut_giant = static_cast<size_t>((shortcut_begin - begin) / count);
  steps.shortcut_giants = static_cast<size_t>((shortcut_last - shortcut_begin) / count + 1);
  return steps;
}

std::vector<std::vector<double>> convolution_factors(const network::Convolution& convolution,
                                                     const Layout& input, const Layout& output,
                                                     const ConvolutionSteps& steps, size_t group) {
  const auto patches = static_cast<int64_t>(input.patches);
  std::vector<std::vector<double>> factors;
  for (const int64_t giant : steps.giants)
    for (size_t row = 0; row < kTaps; ++row)
      for (size_t baby = 0; baby < steps.baby_count; ++baby) {
        factors.push_back(diagonal(
            convolution, input, output, group, giant / patches + static_cast<int64_t>(baby), kReach,
            [&](size_t filter, size_t column) {
              return convolution.weights[(filter * kTaps + row) * kTaps + column];
            }));
        turn_back(factors.back(), giant);
      }
  return factors;
}

std::vector<std::vector<double>> shortcut_factors(const network::Convolution& convolution,
                                                  const Layout& input, const Layout& output,
                                                  const ConvolutionSteps& steps, size_t group) {
  const auto patches = static_cast<int64_t>(input.patches);
  std::vector<std::vector<double>> factors;
  for (const int64_t giant :
       std::span(steps.giants).subspan(steps.shortcut_giant, steps.shortcut_giants))
    for (size_t baby = 0; baby < steps.baby_count; ++baby) {
      factors.push_back(
          diagonal(convolution, input, output, group, giant / patches + static_cast<int64_t>(baby),
                   0, [&](size_t filter, size_t) { return convolution.shortcut[filter]; }));
      turn_back(factors.back(), giant);
    }
  return factors;
}

std::vector<ckks::Complex> template_slots(std::span<const float> values, size_t width) {
  std::vector<double> coefficients(values.begin(), values.end());
  coefficients.resize(width);
  return ckks::SlotTransform(width).to_slots(coefficients);
}

std::vector<double> template_values(std::span<const ckks::Complex> slots, size_t width,
                                    size_t count) {
  const size_t period = width / 2;
  std::vector<ckks::Complex> mean(period);
  for (size_t i = 0; i < slots.size(); ++i)
    mean[i % period] += slots[i] * static_cast<double>(period) / static_cast<double>(slots.size());
  std::vector<double> values = ckks::SlotTransform(width).to_coefficients(mean);
  values.resize(count);
  return values;
}

LinearSteps linear_steps(const Layout& layout, size_t width) {
  const size_t diagonals = width / 2;
  LinearSteps steps;
  steps.baby_count = size_t{1} << (std::countr_zero(diagonals) + 1) / 2;
  for (size_t giant = 0; giant < diagonals; giant += steps.baby_count)
    steps.giants.push_back(static_cast<int64_t>(giant));
  for (size_t step = diagonals; step < layout.extent(); step *= 2)
    steps.sums.push_back(static_cast<int64_t>(step));
  return steps;
}

std::vector<std::vector<ckks::Complex>> linear_matrix(const network::Linear& linear,
                                                      size_t map_patches, size_t group,
                                                      const Layout& layout, size_t width) {
  const size_t pooled_side = layout.side / linear.pool;
  const size_t cells = pooled_side * pooled_side;
  const size_t of_patch = linear.inputs / map_patches;
  const double share = 1.0 / static_cast<double>(linear.pool * linear.pool);
  std::vector<std::vector<ckks::Complex>> matrix(width / 2,
                                                 std::vector<ckks::Complex>(layout.extent()));
  std::vector<float> column(linear.outputs);
  const size_t first = group * layout.patches * of_patch;
  const size_t end = std::min(first + layout.patches * of_patch, size_t{linear.inputs});
  for (size_t feature = first; feature < end; ++feature) {
    for (size_t output = 0; output < linear.outputs; ++output)
      column[output] = linear.weights[output * linear.inputs + feature];
    const std::vector<ckks::Complex> slots = template_slots(column, width);
    const size_t patch = (feature - first) / of_patch;
    const size_t channel = feature % of_patch / cells, place = feature % cells;
    for (size_t y = 0; y < linear.pool; ++y)
      for (size_t x = 0; x < linear.pool; ++x) {
        const size_t row = place / pooled_side * linear.pool + y;
        const size_t position = row * layout.side + place % pooled_side * linear.pool + x;
        const size_t source = layout.slot(position, channel, patch);
        for (size_t j = 0; j < matrix.size(); ++j) matrix[j][source] = share * slots[j];
      }
  }
  return matrix;
}

std::vector<std::vector<ckks::Complex>> linear_factors(
    std::span<const std::vector<ckks::Complex>> matrix, const Layout& layout,
    const LinearSteps& steps, size_t giant) {
  std::vector<std::vector<ckks::Complex>> factors;
  for (size_t baby = 0; baby < steps.baby_count; ++baby) {
    // Slot t, once turned by the giant step, takes slot t + giant * baby_count + baby.
    std::vector<ckks::Complex>& factor = factors.emplace_back(layout.slots);
    for (size_t t = 0; t < layout.slots; ++t) {
      const size_t target = t - giant * steps.baby_count;  // modulo 2^64, and so modulo the slots
      factor[t] = matrix[target % matrix.size()][(t + baby) % layout.extent()];
    }
  }
  return factors;
}

}  // namespace bauta::circuits
