#include "circuits/encrypted_network.h"

namespace bauta::circuits {
namespace {

std::vector<ckks::Complex> to_complex(const std::vector<double>& values) {
  return {values.begin(), values.end()};
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
  for (size_t i = 0; i < network.layers.size(); ++i) {
    const Step& step = plan.steps[i];
    Layer& layer = prepared.layers_.emplace_back();
    if (const auto* convolution = std::get_if<network::Convolution>(&network.layers[i])) {
      layer.adds_trunk = convolution->adds_trunk;
      const auto values = convolution_factors(*convolution, plan.layout, plan.baby_count);
      const size_t giants = convolution_steps(plan.layout, plan.baby_count).giants.size();
      BAUTA_TRY(layer.factors,
                scheme.encode_periodic(values, giants, step.weight_scale, step.limbs));
    } else if (const auto* square = std::get_if<network::Square>(&network.layers[i])) {
      const size_t patches = network.input.patches();
      const auto slots = plan.layout.spread(square->shift, patches, square->channels / patches);
      BAUTA_TRY(layer.shift, scheme.encode(to_complex(slots), step.scale, step.limbs));
    } else {
      BAUTA_CHECK(prepared.prepare_linear(network, step, layer));
    }
  }
  return prepared;
}

template <typename Scheme>
Status EncryptedNetwork<Scheme>::prepare_linear(const network::Network& network, const Step& step,
                                                Layer& layer) const {
  const auto& linear = std::get<network::Linear>(network.layers.back());
  const Layout& layout = plan_.layout;
  const size_t width = plan_.gallery.width();
  const size_t patches = network.input.patches();
  const size_t pooled_side = layout.side / linear.pool;
  const size_t channels = linear.inputs / patches / (pooled_side * pooled_side);
  const auto matrix = linear_matrix(linear, patches, channels, layout, width);
  const LinearSteps steps = linear_steps(layout, width);
  for (size_t giant = 0; giant < steps.giant_count; ++giant)
    for (const auto& factor : linear_factors(matrix, layout, steps, giant)) {
      BAUTA_TRY(auto encoded, scheme_->encode_extended(factor, step.weight_scale, step.limbs));
      layer.matrix.push_back(std::move(encoded));
    }
  const std::vector<ckks::Complex> bias = template_slots(linear.bias, width);
  std::vector<ckks::Complex> slots(layout.slots);
  for (size_t i = 0; i < slots.size(); ++i) slots[i] = bias[i % bias.size()];
  BAUTA_TRY(layer.shift, scheme_->encode(slots, step.scale * step.weight_scale, step.limbs));
  return {};
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::run(Ciphertext input,
                                                          const Observer& observer) const {
  Ciphertext values = std::move(input);
  std::optional<Ciphertext> trunk;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    if (layer.factors) {
      values = convolve(layer, values);
      if (layer.adds_trunk) {
        scheme_->drop_limbs_in_place(*trunk, plan_.steps[i].limbs - 1);
        scheme_->add_in_place(values, *trunk);
      }
    } else if (layer.matrix.empty()) {
      trunk = values.clone();
      scheme_->add_plain_in_place(values, *layer.shift);
      values = square(std::move(values));
    } else {
      values = multiply(layer, values);
    }
    if (observer) observer(i, values);
  }
  return values;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::convolve(const Layer& layer,
                                                               const Ciphertext& input) const {
  const ConvolutionSteps steps = convolution_steps(plan_.layout, plan_.baby_count);
  auto sums = scheme_->rotate_and_sum(scheme_->hoist(input), steps.babies, *layer.factors);
  std::optional<typename Scheme::Extended> total;
  for (size_t g = 0; g < sums.size(); ++g) {
    auto turned = scheme_->rotate_extended(std::move(sums[g]), steps.giants[g]);
    if (total)
      scheme_->add_in_place(*total, turned);
    else
      total = std::move(turned);
  }
  Ciphertext result = scheme_->reduce(std::move(*total));
  scheme_->rescale_in_place(result);
  return result;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::square(Ciphertext input) const {
  Ciphertext result = scheme_->relinearize(scheme_->square(input));
  scheme_->rescale_in_place(result);
  return result;
}

template <typename Scheme>
typename Scheme::Ciphertext EncryptedNetwork<Scheme>::multiply(const Layer& layer,
                                                               const Ciphertext& input) const {
  const LinearSteps steps = linear_steps(plan_.layout, plan_.gallery.width());
  const auto hoisted = scheme_->hoist(input);
  std::vector<typename Scheme::Extended> babies;
  for (size_t baby = 0; baby < steps.baby_count; ++baby)
    babies.push_back(scheme_->rotate_extended(hoisted, static_cast<int64_t>(baby)));
  const auto terms = pointers(std::span<const typename Scheme::Extended>(babies));
  std::optional<typename Scheme::Extended> total;
  for (size_t giant = 0; giant < steps.giant_count; ++giant) {
    const auto factors =
        pointers(std::span(layer.matrix).subspan(giant * steps.baby_count, steps.baby_count));
    auto turned = scheme_->rotate_extended(scheme_->inner_product(terms, factors),
                                           static_cast<int64_t>(giant * steps.baby_count));
    if (total)
      scheme_->add_in_place(*total, turned);
    else
      total = std::move(turned);
  }
  // At the large scale, before the division: these sums multiply what noise there is.
  Ciphertext result = scheme_->reduce(std::move(*total));
  for (const int64_t step : steps.sums)
    scheme_->add_in_place(result, scheme_->rotate(result, step));
  scheme_->add_plain_in_place(result, *layer.shift);
  scheme_->rescale_in_place(result);
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
