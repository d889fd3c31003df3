#include "circuits/encrypted_network.h"

namespace bauta::circuits {
namespace {

std::vector<ckks::Complex> to_complex(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

size_t limbs(const ckks::EvaluationCiphertext& ciphertext) {
  return ciphertext.limbs();
}
size_t limbs(const ckks::PlainEvaluator::Ciphertext& ciphertext) {
  return ciphertext.limbs;
}

template <typename T>
std::vector<const T*> pointers(std::span<const T> values) {
  std::vector<const T*> list;
  for (const T& value : values) list.push_back(&value);
  return list;
}

}  // namespace

template <typename Scheme>
Result<EncryptedNetwork<Scheme>> EncryptedNetwork<Scheme>::prepare(const Plan& plan,
                                                                   const network::Network& network,
                                                                   const Scheme& scheme) {
  BAUTA_ASSERT(plan.steps.size() == network.layers.size());
  EncryptedNetwork prepared(plan, scheme);
  prepared.patches_ = network.input.patches();
  for (size_t i = 0; i < network.layers.size(); ++i) {
    Layer& layer = prepared.layers_.emplace_back();
    if (const auto* convolution = std::get_if<network::Convolution>(&network.layers[i])) {
      layer.adds_trunk = convolution->adds_trunk;
      layer.steps = convolution_steps(*convolution, plan.layouts[i], plan.layouts[i + 1],
                                      plan.steps[i].baby_count);
    }
    for (size_t group = 0; group < plan.groups; ++group) {
      BAUTA_TRY(Weights weights,
                std::visit([&](const auto& each) { return prepared.prepare(each, i, group); },
                           network.layers[i]));
      layer.groups.push_back(std::move(weights));
    }
  }
  const auto& linear = std::get<network::Linear>(network.layers.back());
  const std::vector<ckks::Complex> bias = template_slots(linear.bias, plan.gallery.width());
  std::vector<ckks::Complex> slots(scheme.slots());
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = bias[i % bias.size()];
  BAUTA_TRY(prepared.bias_, scheme.encode(slots, plan.result_scale, kResultLimbs));
  return prepared;
}

template <typename Scheme>
auto EncryptedNetwork<Scheme>::prepare(const network::Convolution& convolution, size_t index,
                                       size_t group) const -> Result<Weights> {
  const Step& step = plan_.steps[index];
  const Layout& input = plan_.layouts[index];
  const Layout& output = plan_.layouts[index + 1];
  const ConvolutionSteps& steps = layers_[index].steps;
  Weights weights;
  BAUTA_TRY(weights.factors,
            scheme_->encode_periodic(convolution_factors(convolution, input, output, steps, group),
                                     steps.giants.size(), step.weight_scale, step.limbs));
  if (!convolution.opens_block()) return weights;
  if (convolution.projects()) {
    BAUTA_TRY(weights.shortcut_factors,
              scheme_->encode_periodic(shortcut_factors(convolution, input, output, steps, group),
                                       steps.shortcut_giants, step.weight_scale, step.limbs));
  } else {
    std::vector<float> maps;
    for (const float gain : convolution.shortcut)
      maps.insert(maps.end(), input.side * input.side, gain);
    const auto slots = input.spread(maps, patches_, convolution.outputs, group, 0);
    BAUTA_TRY(weights.shortcut_gains,
              scheme_->encode(to_complex(slots), step.weight_scale, step.limbs));
  }
  return weights;
}

template <typename Scheme>
auto EncryptedNetwork<Scheme>::prepare(const network::Square& square, size_t index,
                                       size_t group) const -> Result<Weights> {
  const Step& step = plan_.steps[index];
  const Layout& layout = plan_.layouts[index];
  Weights weights;
  for (size_t strand = 0; strand < layout.lead(); ++strand) {
    const auto slots =
        layout.spread(square.shift, patches_, square.channels / patches_, group, strand);
    BAUTA_TRY(Plaintext shift, scheme_->encode(to_complex(slots), step.scale, step.limbs));
    weights.shifts.push_back(std::move(shift));
  }
  return weights;
}

template <typename Scheme>
auto EncryptedNetwork<Scheme>::prepare(const network::Linear& linear, size_t index,
                                       size_t group) const -> Result<Weights> {
  const Step& step = plan_.steps[index];
  const Layout& layout = plan_.layouts[index];
  const size_t width = plan_.gallery.width();
  const auto matrix = linear_matrix(linear, patches_, group, layout, width);
  const LinearSteps steps = linear_steps(layout, width);
  Weights weights;
  for (size_t giant = 0; giant < steps.giants.size(); ++giant)
    for (const auto& factor : linear_factors(matrix, layout, steps, giant)) {
      BAUTA_TRY(auto encoded, scheme_->encode_extended(factor, step.weight_scale, step.limbs));
      weights.matrix.push_back(std::move(encoded));
    }
  return weights;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::run(std::vector<Ciphertext> image,
                                                          const Observer& observer) const {
  BAUTA_ASSERT(image.size() == plan_.ciphertexts());
  const auto strands = static_cast<ptrdiff_t>(plan_.layouts.front().lead());
  std::vector<Extended> sums;
  for (size_t group = 0; group < plan_.groups; ++group) {
    const auto first = image.begin() + static_cast<ptrdiff_t>(group) * strands;
    const Ciphertext features =
        run_group(group, {std::make_move_iterator(first), std::make_move_iterator(first + strands)},
                  observer);
    multiply(layers_.back().groups[group], features, sums);
    if (observer) observer(layers_.size() - 1, {});
  }
  Ciphertext result = finish_linear(sums);
  if (observer) observer(layers_.size() - 1, {&result, 1});
  return result;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::run_group(size_t group, Ciphertexts values,
                                                                const Observer& observer) const {
  Ciphertexts trunk, aside;
  for (size_t i = 0; i + 1 < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const Weights& weights = layer.groups[group];
    if (weights.factors) {
      Ciphertexts addends = std::move(layer.adds_trunk ? trunk : aside);
      aside.clear();
      values = convolve(layer, weights, values, aside);
      if (!addends.empty()) add(values, std::move(addends));
    } else {
      trunk.clear();
      for (size_t strand = 0; strand < values.size(); ++strand) {
        if (layers_[i + 1].adds_trunk) trunk.push_back(values[strand].clone());
        values[strand] = square(std::move(values[strand]), weights.shifts[strand]);
      }
    }
    if (observer) observer(i, values);
  }
  return std::move(values[0]);
}

template <typename Scheme>
auto EncryptedNetwork<Scheme>::convolve(const Layer& layer, const Weights& weights,
                                        const Ciphertexts& input, Ciphertexts& aside) const
    -> Ciphertexts {
  const ConvolutionSteps& steps = layer.steps;
  std::vector<typename Scheme::Hoisted> hoisted;
  for (const Ciphertext& strand : input) hoisted.push_back(scheme_->hoist(strand));
  std::vector<typename Scheme::Sums> wanted;
  for (const auto& terms : steps.terms) wanted.push_back({terms, &*weights.factors});
  if (weights.shortcut_factors)
    for (size_t strand = 0; strand < steps.terms.size(); ++strand)
      wanted.push_back({steps.shortcut_terms(strand), &*weights.shortcut_factors});
  auto sums = scheme_->rotate_and_sum(hoisted, steps.turns, wanted);
  hoisted.clear();

  std::span<Extended> left = sums;
  const auto finish = [&](std::span<const int64_t> giants) {
    Ciphertext result = sum_of_turns(left.first(giants.size()), giants);
    left = left.subspan(giants.size());
    scheme_->rescale_in_place(result);
    return result;
  };
  Ciphertexts results;
  while (results.size() < steps.terms.size()) results.push_back(finish(steps.giants));
  while (!left.empty())
    aside.push_back(
        finish(std::span(steps.giants).subspan(steps.shortcut_giant, steps.shortcut_giants)));
  if (weights.shortcut_gains)
    for (const Ciphertext& strand : input) {
      scheme_->multiply_plain_in_place(aside.emplace_back(strand.clone()), *weights.shortcut_gains);
      scheme_->rescale_in_place(aside.back());
    }
  return results;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::sum_of_turns(
    std::span<Extended> sums, std::span<const int64_t> steps) const {
  std::optional<Extended> total;
  for (size_t i = 0; i < sums.size(); ++i) {
    Extended turned = scheme_->rotate_extended(std::move(sums[i]), steps[i]);
    if (total)
      scheme_->add_in_place(*total, turned);
    else
      total = std::move(turned);
  }
  return scheme_->reduce(std::move(*total));
}

template <typename Scheme>
void EncryptedNetwork<Scheme>::add(Ciphertexts& target, Ciphertexts&& addends) const {
  for (size_t i = 0; i < target.size(); ++i) {
    scheme_->drop_limbs_in_place(addends[i], limbs(target[i]));
    scheme_->add_in_place(target[i], addends[i]);
  }
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::square(Ciphertext input,
                                                             const Plaintext& shift) const {
  scheme_->add_plain_in_place(input, shift);
  Ciphertext result = scheme_->relinearize(scheme_->square(input));
  scheme_->rescale_in_place(result);
  return result;
}

template <typename Scheme>
void EncryptedNetwork<Scheme>::multiply(const Weights& weights, const Ciphertext& input,
                                        std::vector<Extended>& sums) const {
  const LinearSteps steps = linear_steps(plan_.layouts.back(), plan_.gallery.width());
  const auto hoisted = scheme_->hoist(input);
  std::vector<Extended> babies;
  for (size_t baby = 0; baby < steps.baby_count; ++baby)
    babies.push_back(scheme_->rotate_extended(hoisted, static_cast<int64_t>(baby)));
  const auto terms = pointers(std::span<const Extended>(babies));
  const bool first = sums.empty();
  for (size_t giant = 0; giant < steps.giants.size(); ++giant) {
    const auto factors =
        pointers(std::span(weights.matrix).subspan(giant * steps.baby_count, steps.baby_count));
    Extended sum = scheme_->inner_product(terms, factors);
    if (first)
      sums.push_back(std::move(sum));
    else
      scheme_->add_in_place(sums[giant], sum);
  }
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::finish_linear(
    std::span<Extended> sums) const {
  const LinearSteps steps = linear_steps(plan_.layouts.back(), plan_.gallery.width());
  // At the large scale, before the division: these sums multiply what noise there is.
  Ciphertext result = sum_of_turns(sums, steps.giants);
  for (const int64_t step : steps.sums)
    scheme_->add_in_place(result, scheme_->rotate(result, step));
  scheme_->rescale_in_place(result);
  scheme_->add_plain_in_place(result, *bias_);
  return result;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::scaled(Ciphertext result, double length,
                                                             double scale) const {
  const double modulus = scheme_->last_modulus(kResultLimbs);
  scheme_->multiply_constant_in_place(result, 1 / length, scale / result.scale * modulus);
  scheme_->rescale_in_place(result);
  BAUTA_ASSERT(ckks::equal_scales(result.scale, scale));
  result.scale = scale;
  return result;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::reference(Ciphertext result,
                                                                double length) const {
  return scaled(std::move(result), length, plan_.gallery.reference_scale());
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::probe(const Ciphertext& result,
                                                            double length) const {
  return scaled(scheme_->conjugate(result), length, plan_.gallery.probe_scale());
}

template class EncryptedNetwork<ckks::Evaluator>;
template class EncryptedNetwork<ckks::PlainEvaluator>;

}  // namespace bauta::circuits
