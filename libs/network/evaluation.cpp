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

// How the taps of a convolution read a map. The rows y with the same y mod lead form a strand of
// consecutive positions, and a tap that leaves a row at its end goes on in the strand's next row.
struct Helix {
  size_t side = 0, lead = 0;

  size_t rows() const { return side / lead; }  // of a strand
  size_t strand() const { return rows() * side; }
  // A strand with its ends joined: element i is value (i - (side + 1)) mod strand(), so that every
  // tap reads a contiguous run.
  size_t ring() const { return strand() + 2 * (side + 1); }
};

void write_rings(const float* map, const Helix& helix, float* rings) {
  const size_t reach = helix.side + 1;
  for (size_t first = 0; first < helix.lead; ++first, rings += helix.ring()) {
    for (size_t row = 0; row < helix.rows(); ++row)
      std::copy_n(map + (row * helix.lead + first) * helix.side, helix.side,
                  rings + reach + row * helix.side);
    std::copy_n(rings + helix.strand(), reach, rings);
    std::copy_n(rings + reach, reach, rings + reach + helix.strand());
  }
}

// output += the 3x3 convolution of one channel, a strand of it.
void add_convolved(const float* above, const float* level, const float* below, const float* weights,
                   size_t count, float* output) {
  for (size_t q = 0; q < count; ++q)
    output[q] += weights[0] * above[q] + weights[1] * above[q + 1] + weights[2] * above[q + 2] +
                 weights[3] * level[q] + weights[4] * level[q + 1] + weights[5] * level[q + 2] +
                 weights[6] * below[q] + weights[7] * below[q + 1] + weights[8] * below[q + 2];
}

// One output map at stride 1, from the rings of all inputs.
void convolve_map(const float* rings, const float* weights, size_t inputs, const Helix& helix,
                  std::vector<float>& strand, float* map) {
  const size_t side = helix.side, lead = helix.lead;
  for (size_t first = 0; first < lead; ++first) {
    strand.assign(helix.strand(), 0);
    for (size_t i = 0; i < inputs; ++i) {
      const float* of_input = rings + i * lead * helix.ring();
      // The rows above the first strand are those of the last, one row earlier.
      const float* above = first > 0 ? of_input + (first - 1) * helix.ring() + side
                                     : of_input + (lead - 1) * helix.ring();
      const float* below =
          first + 1 < lead ? of_input + (first + 1) * helix.ring() + side : of_input + 2 * side;
      add_convolved(above, of_input + first * helix.ring() + side, below, weights + i * kTaps,
                    helix.strand(), strand.data());
    }
    for (size_t row = 0; row < helix.rows(); ++row)
      std::copy_n(&strand[row * side], side, map + (row * lead + first) * side);
  }
}

// Every stride-th value of every stride-th row.
void add_strided(const float* map, size_t side, size_t stride, float* result) {
  for (size_t y = 0; y < side; y += stride)
    for (size_t x = 0; x < side; x += stride) *result++ += map[y * side + x];
}

// result: what the convolution is added to.
std::vector<float> convolve(const Convolution& layer, const std::vector<float>& maps,
                            const Helix& helix, std::vector<float> result) {
  const size_t positions = helix.side * helix.side;
  const size_t kept = positions / (layer.stride * layer.stride);
  result.resize(size_t{layer.patches} * layer.outputs * kept);
  const size_t rings_of_map = helix.lead * helix.ring();
  std::vector<float> rings(layer.inputs * rings_of_map), strand, map(positions);
  for (size_t patch = 0; patch < layer.patches; ++patch) {
    for (size_t i = 0; i < layer.inputs; ++i)
      write_rings(&maps[(patch * layer.inputs + i) * positions], helix, &rings[i * rings_of_map]);
    for (size_t o = patch * layer.outputs; o < (patch + 1) * layer.outputs; ++o) {
      convolve_map(rings.data(), &layer.weights[o * layer.inputs * kTaps], layer.inputs, helix,
                   strand, map.data());
      add_strided(map.data(), helix.side, layer.stride, &result[o * kept]);
    }
  }
  return result;
}

std::vector<float> shortcut(const Convolution& layer, const std::vector<float>& maps, size_t side) {
  const size_t positions = side * side, kept = positions / (layer.stride * layer.stride);
  std::vector<float> result(size_t{layer.patches} * layer.outputs * kept), map(positions);
  for (size_t o = 0; o < size_t{layer.patches} * layer.outputs; ++o) {
    const size_t inputs = layer.projects() ? layer.inputs : 1;
    const size_t first = layer.projects() ? o / layer.outputs * layer.inputs : o;
    std::ranges::fill(map, 0.0f);
    for (size_t i = 0; i < inputs; ++i)
      for (size_t q = 0; q < positions; ++q)
        map[q] += layer.shortcut[o * inputs + i] * maps[(first + i) * positions + q];
    add_strided(map.data(), side, layer.stride, &result[o * kept]);
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

// pixel_at(y, x, colour): of the central part, 0 to 255.
template <typename Pixel>
std::vector<float> cut_maps(const InputGeometry& geometry, Pixel pixel_at) {
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
        maps.push_back(pixel_at(y, x, colour) / 127.5f - 1);
      }
    }
  }
  return maps;
}

uint32_t margin_of(const InputGeometry& geometry) {
  return (geometry.packed_side - geometry.side) / 2;
}

}  // namespace

std::vector<float> input_maps(ByteView rgb, const InputGeometry& geometry) {
  BAUTA_ASSERT(rgb.size() == size_t{kFaceSide} * kFaceSide * 3);
  std::vector<Coverage> covered;
  for (uint32_t i = 0; i < geometry.side; ++i)
    covered.push_back(coverage(margin_of(geometry) + i, geometry.packed_side));
  return cut_maps(geometry, [&](uint32_t y, uint32_t x, uint32_t colour) {
    return static_cast<float>(shrunk_pixel(rgb, covered[y], covered[x], colour));
  });
}

std::vector<float> input_maps_of_scaled(std::span<const float> rgb, const InputGeometry& geometry) {
  const size_t side = geometry.packed_side, margin = margin_of(geometry);
  BAUTA_ASSERT(rgb.size() == side * side * 3);
  return cut_maps(geometry, [&](uint32_t y, uint32_t x, uint32_t colour) {
    return rgb[((margin + y) * side + margin + x) * 3 + colour];
  });
}

std::vector<float> evaluate(const Network& network, std::span<const float> maps,
                            const LayerObserver& observer) {
  const InputGeometry& input = network.input;
  BAUTA_ASSERT(maps.size() == size_t{input.patches()} * input.channels() * input.positions());
  const std::vector<uint32_t> sides = network.map_sides();
  std::vector<float> values(maps.begin(), maps.end());
  std::vector<float> trunk, open_shortcut;
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Layer& layer = network.layers[i];
    if (const auto* convolution = std::get_if<Convolution>(&layer)) {
      std::vector<float> addend = std::move(open_shortcut);
      open_shortcut.clear();
      if (convolution->adds_trunk) addend = trunk;
      if (convolution->opens_block()) open_shortcut = shortcut(*convolution, values, sides[i]);
      const Helix helix{sides[i], sides[i] / sides.back()};
      values = convolve(*convolution, values, helix, std::move(addend));
    } else if (const auto* square = std::get_if<Square>(&layer)) {
      trunk = std::move(values);
      values = shift_and_square(*square, trunk);
    } else {
      const auto& linear = std::get<Linear>(layer);
      values = multiply(linear, pooled(values, sides[i], linear.pool));
    }
    if (observer) observer(i, values);
  }
  return values;
}

}  // namespace bauta::network
