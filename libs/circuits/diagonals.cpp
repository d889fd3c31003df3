#include "circuits/diagonals.h"

#include <bit>
#include <cmath>

namespace bauta::circuits {
namespace {

constexpr int64_t kReach = 1;  // of a 3x3 tap
constexpr size_t kTaps = 2 * kReach + 1;

// e runs through kDiagonalsPerChannel * channels values from -2 * channels on.
constexpr size_t kDiagonalsPerChannel = 4;

int64_t first_diagonal(const Layout& layout) {
  return -2 * static_cast<int64_t>(layout.channels);
}

// x modulo a power of two.
size_t wrap(int64_t x, size_t modulus) {
  return static_cast<size_t>(x) & (modulus - 1);
}

// The weight with which output o of a patch takes what diagonal (dy, e) brings; 0 off the network.
double diagonal_weight(const network::Convolution& convolution, const Layout& layout, size_t patch,
                       size_t output, int64_t dy, int64_t e) {
  const auto channels = static_cast<int64_t>(layout.channels);
  const int64_t place = e + static_cast<int64_t>(output) + channels * kReach;
  if (place < 0 || place >= channels * static_cast<int64_t>(kTaps)) return 0;
  const auto input = static_cast<size_t>(place % channels);
  const auto column = static_cast<size_t>(place / channels);
  if (patch >= convolution.patches || output >= convolution.outputs || input >= convolution.inputs)
    return 0;
  const size_t row = static_cast<size_t>(dy + kReach);
  const size_t filter = (patch * convolution.outputs + output) * convolution.inputs + input;
  return convolution.weights[(filter * kTaps + row) * kTaps + column];
}

}  // namespace

ConvolutionSteps convolution_steps(const Layout& layout, size_t baby_count) {
  const auto patches = static_cast<int64_t>(layout.patches);
  const auto row = static_cast<int64_t>(layout.side * layout.period());
  ConvolutionSteps steps;
  for (int64_t dy = -kReach; dy <= kReach; ++dy)
    for (size_t baby = 0; baby < baby_count; ++baby)
      steps.babies.push_back(dy * row + static_cast<int64_t>(baby) * patches);
  for (size_t begin = 0; begin < kDiagonalsPerChannel * layout.channels; begin += baby_count)
    steps.giants.push_back((first_diagonal(layout) + static_cast<int64_t>(begin)) * patches);
  return steps;
}

std::vector<std::vector<double>> convolution_factors(const network::Convolution& convolution,
                                                     const Layout& layout, size_t baby_count) {
  const ConvolutionSteps steps = convolution_steps(layout, baby_count);
  const size_t period = layout.period();
  std::vector<std::vector<double>> factors;
  for (size_t giant = 0; giant < steps.giants.size(); ++giant) {
    for (size_t term = 0; term < steps.babies.size(); ++term) {
      const int64_t dy = static_cast<int64_t>(term / baby_count) - kReach;
      const int64_t e =
          first_diagonal(layout) + static_cast<int64_t>(giant * baby_count + term % baby_count);
      std::vector<double>& factor = factors.emplace_back(period);
      for (size_t output = 0; output < layout.channels; ++output)
        for (size_t patch = 0; patch < layout.patches; ++patch) {
          // The giant step turns the products too, so they are made that much further on.
          const size_t place = output * layout.patches + patch;
          factor[wrap(static_cast<int64_t>(place) + steps.giants[giant], period)] =
              diagonal_weight(convolution, layout, patch, output, dy, e);
        }
    }
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
  steps.giant_count = diagonals / steps.baby_count;
  for (size_t step = diagonals; step < layout.extent(); step *= 2)
    steps.sums.push_back(static_cast<int64_t>(step));
  return steps;
}

std::vector<std::vector<ckks::Complex>> linear_matrix(const network::Linear& linear,
                                                      size_t map_patches, size_t map_channels,
                                                      const Layout& layout, size_t width) {
  const size_t pooled_side = layout.side / linear.pool;
  const double share = 1.0 / static_cast<double>(linear.pool * linear.pool);
  std::vector<std::vector<ckks::Complex>> matrix(width / 2,
                                                 std::vector<ckks::Complex>(layout.extent()));
  std::vector<float> column(linear.outputs);
  for (size_t feature = 0; feature < linear.inputs; ++feature) {
    for (size_t output = 0; output < linear.outputs; ++output)
      column[output] = linear.weights[output * linear.inputs + feature];
    const std::vector<ckks::Complex> slots = template_slots(column, width);
    const size_t place = feature % (pooled_side * pooled_side);
    const size_t map = feature / (pooled_side * pooled_side);
    BAUTA_ASSERT(map < map_patches * map_channels);
    for (size_t y = 0; y < linear.pool; ++y)
      for (size_t x = 0; x < linear.pool; ++x) {
        const size_t row = place / pooled_side * linear.pool + y;
        const size_t position = row * layout.side + place % pooled_side * linear.pool + x;
        const size_t source = layout.slot(position, map % map_channels, map / map_channels);
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
