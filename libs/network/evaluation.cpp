#include "network/evaluation.h"

#include <algorithm>

namespace bauta::network {
namespace {

constexpr size_t kTaps = 9;

// The share of source pixels that target pixel `target` covers: from `first`, in 1 / target_side.
struct Coverage {
  uint32_t first = 0;
  std::vector<uint32_t> weights;
};

Coverage coverage(uint32_t target, uint32_t target_side) {
  const uint32_t begin = target * kFaceSide, end = begin + kFaceSide;
  Coverage result{begin / target_side, {}};
  for (uint32_t source = result.first; source * target_side < end; ++source)
    result.weights.push_back(std::min(end, (source + 1) * target_side) -
                             std::max(begin, source * target_side));
  return result;
}

// Area average of one colour over the pixels that a shrunk pixel covers, rounded half up.
uint32_t shrunk_pixel(ByteView rgb, const Coverage& rows, const Coverage& columns, size_t colour) {
  uint32_t sum = 0;
  for (size_t y = 0; y < rows.weights.size(); ++y)
    for (size_t x = 0; x < columns.weights.size(); ++x)
      sum += rows.weights[y] * columns.weights[x] *
             rgb[((rows.first + y) * kFaceSide + columns.first + x) * 3 + colour];
  constexpr uint32_t kArea = kFaceSide * kFaceSide;
  return (sum + kArea / 2) / kArea;
}

// One channel's map with its ends joined: element i is map[(i - (side + 1)) mod positions], so that
// every tap reads a contiguous run.
void write_ring(const float* map, uint32_t side, float* ring) {
  const size_t positions = size_t{side} * side, reach = side + 1;
  std::copy(map + positions - reach, map + positions, ring);
  std::copy(map, map + positions, ring + reach);
  std::copy(map, map + reach, ring + reach + positions);
}

// output += the 3x3 convolution of one channel.
void add_convolved(const float* ring, const float* weights, uint32_t side, float* output) {
  const size_t positions = size_t{side} * side;
  const float* above = ring;
  const float* level = ring + side;
  const float* below = ring + 2 * side;
  for (size_t q = 0; q < positions; ++q)
    output[q] += weights[0] * above[q] + weights[1] * above[q + 1] + weights[2] * above[q + 2] +
                 weights[3] * level[q] + weights[4] * level[q + 1] + weights[5] * level[q + 2] +
                 weights[6] * below[q] + weights[7] * below[q + 1] + weights[8] * below[q + 2];
}

std::vector<float> convolve(const Convolution& layer, const std::vector<float>& maps,
                            const std::vector<float>& trunk, uint32_t side) {
  const size_t positions = size_t{side} * side, ring_size = positions + 2 * (side + 1);
  std::vector<float> result(size_t{layer.patches} * layer.outputs * positions);
  if (layer.adds_trunk) result = trunk;
  std::vector<float> rings(layer.inputs * ring_size);
  for (size_t patch = 0; patch < layer.patches; ++patch) {
    for (size_t i = 0; i < layer.inputs; ++i)
      write_ring(&maps[(patch * layer.inputs + i) * positions], side, &rings[i * ring_size]);
    for (size_t o = patch * layer.outputs; o < (patch + 1) * layer.outputs; ++o)
      for (size_t i = 0; i < layer.inputs; ++i)
        add_convolved(&rings[i * ring_size], &layer.weights[(o * layer.inputs + i) * kTaps], side,
                      &result[o * positions]);
  }
  return result;
}

std::vector<float> shift_and_square(const Square& layer, const std::vector<float>& maps) {
  std::vector<float> result(maps.size());
  std::ranges::transform(maps, layer.shift, result.begin(),
                         [](float x, float shift) { return (x + shift) * (x + shift); });
  return result;
}

std::vector<float> pooled(const std::vector<float>& maps, uint32_t side, uint32_t pool) {
  const uint32_t pooled_side = side / pool;
  const size_t channels = maps.size() / (size_t{side} * side);
  std::vector<float> result(channels * pooled_side * pooled_side);
  for (size_t c = 0; c < channels; ++c)
    for (size_t y = 0; y < side; ++y)
      for (size_t x = 0; x < side; ++x)
        result[(c * pooled_side + y / pool) * pooled_side + x / pool] +=
            maps[(c * side + y) * side + x];
  for (float& value : result) value /= static_cast<float>(pool * pool);
  return result;
}

std::vector<float> multiply(const Linear& layer, const std::vector<float>& features) {
  std::vector<float> result = layer.bias;
  for (size_t o = 0; o < layer.outputs; ++o) {
    const float* row = &layer.weights[o * layer.inputs];
    double sum = 0;
    for (size_t i = 0; i < layer.inputs; ++i) sum += double{row[i]} * double{features[i]};
    result[o] += static_cast<float>(sum);
  }
  return result;
}

}  // namespace

std::vector<float> input_maps(ByteView rgb, const InputGeometry& geometry) {
  BAUTA_ASSERT(rgb.size() == size_t{kFaceSide} * kFaceSide * 3);
  const uint32_t margin = (geometry.packed_side - geometry.side) / 2;
  std::vector<Coverage> covered;
  for (uint32_t i = 0; i < geometry.side; ++i)
    covered.push_back(coverage(margin + i, geometry.packed_side));

  const uint32_t block = geometry.block_side, map_side = geometry.map_side();
  std::vector<float> maps;
  maps.reserve(size_t{geometry.patches()} * geometry.channels() * geometry.positions());
  for (uint32_t patch = 0; patch < geometry.patches(); ++patch) {
    const uint32_t top = patch / geometry.patches_per_side * map_side * block;
    const uint32_t left = patch % geometry.patches_per_side * map_side * block;
    for (uint32_t channel = 0; channel < geometry.channels(); ++channel) {
      const uint32_t pixel = channel / 3, colour = channel % 3;
      for (uint32_t q = 0; q < geometry.positions(); ++q) {
        const uint32_t y = top + q / map_side * block + pixel / block;
        const uint32_t x = left + q % map_side * block + pixel % block;
        maps.push_back(
            static_cast<float>(shrunk_pixel(rgb, covered[y], covered[x], colour)) / 127.5f - 1);
      }
    }
  }
  return maps;
}

std::vector<float> evaluate(const Network& network, std::span<const float> maps,
                            const LayerObserver& observer) {
  const InputGeometry& input = network.input;
  BAUTA_ASSERT(maps.size() == size_t{input.patches()} * input.channels() * input.positions());
  std::vector<float> values(maps.begin(), maps.end());
  std::vector<float> trunk;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    if (const auto* convolution = std::get_if<Convolution>(&layer)) {
      values = convolve(*convolution, values, trunk, input.map_side());
    } else if (const auto* square = std::get_if<Square>(&layer)) {
      trunk = std::move(values);
      values = shift_and_square(*square, trunk);
    } else {
      const auto& linear = std::get<Linear>(layer);
      values = multiply(linear, pooled(values, input.map_side(), linear.pool));
    }
    if (observer) observer(i, values);
  }
  return values;
}

}  // namespace bauta::network
