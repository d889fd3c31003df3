#include "circuits/precision.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "circuits/diagonals.h"
#include "ckks/noise.h"
#include "network/evaluation.h"

namespace bauta::circuits {
namespace {

constexpr unsigned kEvaluations = 4;

double root_mean_square(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * value;
  return std::sqrt(squares / static_cast<double>(values.size()));
}

class Noise {
 public:
  Noise(const Plan& plan, const network::Network& network, unsigned seed)
      : plan_(plan), network_(network), model_(plan.ring.parameters()), random_(seed) {}

  // Adds what an image brings along.
  void add(std::span<float> maps) {
    const double variance =
        model_.fresh_secret() + model_.key_switch(plan_.ring.stages().front()) + model_.division();
    add(std::hypot(value_deviation(variance, plan_.input_scale), rotations(0)), maps);
  }

  // Adds the noise of a layer to its output, given the size of its input.
  void add(size_t layer, double input, std::span<float> output) {
    add(std::hypot(deviation(layer, input), rotations(layer + 1)), output);
  }

 private:
  void add(double deviation, std::span<float> values) {
    std::normal_distribution<float> normal(0, static_cast<float>(deviation));
    for (float& value : values) value += normal(random_);
  }

  // A slot is complex, a value its real part.
  double value_deviation(double variance, double scale) const {
    return model_.slot_deviation(variance, scale) / std::sqrt(2.0);
  }

  // What its rotations add to a layer's input: the key switches of the rotated sums come after the
  // products and vanish beside these.
  double rotations(size_t layer) const {
    if (layer >= plan_.steps.size() ||
        std::holds_alternative<network::Square>(network_.layers[layer]))
      return 0;
    const Step& step = plan_.steps[layer];
    return value_deviation(model_.key_switch(plan_.ring.stage(step.limbs).at(step.limbs)),
                           step.scale);
  }

  double deviation(size_t layer, double input) const {
    const bool last = layer + 1 == plan_.steps.size();
    const double scale = last ? plan_.result_scale : plan_.steps[layer + 1].scale;
    const double rounded = rounded_factors(layer) * input;
    if (!last) return std::hypot(value_deviation(model_.division(), scale), rounded);
    // Coefficients, divided twice.
    const double division = std::sqrt(model_.division());
    return std::hypot(rounded, division / scale, division / plan_.gallery.reference_scale());
  }

  // What the rounding of a linear layer's factors adds to a value, for inputs of size 1.
  double rounded_factors(size_t layer) const {
    const Step& step = plan_.steps[layer];
    const double coefficient = std::sqrt(model_.encoding()) / step.weight_scale;
    const auto width = static_cast<double>(plan_.gallery.width());
    if (std::holds_alternative<network::Convolution>(network_.layers[layer])) {
      const Layout& output = plan_.layouts[layer + 1];
      const ConvolutionSteps steps =
          convolution_steps(std::get<network::Convolution>(network_.layers[layer]),
                            plan_.layouts[layer], output, step.baby_count);
      const size_t diagonals = steps.terms[0].size() * steps.giants.size();
      return coefficient * std::sqrt(static_cast<double>(output.period() * diagonals));
    }
    if (std::holds_alternative<network::Linear>(network_.layers[layer])) {
      const size_t degree = plan_.ring.parameters().degree();
      return coefficient *
             std::sqrt(static_cast<double>(degree * plan_.layouts.back().extent()) / width);
    }
    return 0;
  }

  const Plan& plan_;
  const network::Network& network_;
  ckks::NoiseModel model_;
  std::mt19937 random_;
};

}  // namespace

double predicted_error(const Plan& plan, const network::Network& network,
                       std::span<const float> maps) {
  const std::vector<float> exact = network::evaluate(network, maps);
  double squares = 0;
  for (unsigned evaluation = 0; evaluation < kEvaluations; ++evaluation) {
    Noise noise(plan, network, evaluation);
    std::vector<float> noisy_maps(maps.begin(), maps.end());
    noise.add(noisy_maps);
    double input = root_mean_square(maps);
    const std::vector<float> noisy =
        network::evaluate(network, noisy_maps, [&](size_t layer, std::span<float> output) {
          const double size = root_mean_square(output);
          noise.add(layer, input, output);
          input = size;
        });
    for (size_t i = 0; i < exact.size(); ++i)
      squares += std::pow(double{noisy[i]} - double{exact[i]}, 2);
  }
  return std::sqrt(squares / static_cast<double>(kEvaluations * exact.size()));
}

double largest_value(const Plan& plan, size_t layer) {
  const auto room = [&](size_t limbs, double scale) {
    double modulus = 1;
    for (size_t i = 0; i < limbs; ++i)
      modulus *= plan.ring.parameters().all_moduli().modulus(i).value();
    return modulus / (2 * scale);
  };
  // Slots up to a size have coefficients up to it.
  if (layer + 1 < plan.steps.size())
    return room(plan.steps[layer + 1].limbs, plan.steps[layer + 1].scale);
  return std::min(room(kResultLimbs, plan.result_scale),
                  room(kBaseLimbs, plan.gallery.reference_scale()));
}

}  // namespace bauta::circuits
