// A network made ready to run on ciphertexts, or on their plaintext twin.
#pragma once

#include <functional>
#include <optional>

#include "circuits/diagonals.h"
#include "circuits/plan.h"
#include "ckks/evaluator.h"
#include "ckks/plain_evaluator.h"

namespace bauta::circuits {

// Scheme: ckks::Evaluator or ckks::PlainEvaluator. Immutable, thread-safe where the scheme is; the
// scheme must outlive it.
template <typename Scheme>
class EncryptedNetwork {
 public:
  using Ciphertext = typename Scheme::Ciphertext;
  // Called with the index of each layer that is done and with what came out of it, for one group
  // of patches after the other; with no ciphertext when a group has had its share of the last.
  using Observer = std::function<void(size_t layer, std::span<const Ciphertext> output)>;

  // Encodes all weights. Precondition: `plan` is of `network`. Error invalid_argument: a weight too
  // large to be encoded.
  static Result<EncryptedNetwork> prepare(const Plan& plan, const network::Network& network,
                                          const Scheme& scheme);

  // From a packed image (encode_image) at the plan's input scale to the template polynomial of its
  // embedding, k(Y) of match/template_codec.h in the image ring, with kResultLimbs limbs.
  // Precondition: the plan's number of ciphertexts with all limbs, and the plan's keys.
  Ciphertext run(std::vector<Ciphertext> image, const Observer& observer = {}) const;

  // Divided by `length`, with kBaseLimbs limbs at the gallery's scale for references.
  Ciphertext reference(Ciphertext result, double length = 1) const;
  // The same of k(1/Y), at the scale for probes.
  Ciphertext probe(const Ciphertext& result, double length = 1) const;

 private:
  using Ciphertexts = std::vector<Ciphertext>;
  using Plaintext = typename Scheme::Plaintext;
  using Factors = typename Scheme::PeriodicFactors;
  using Extended = typename Scheme::Extended;

  // What a layer holds for one group of patches.
  struct Weights {
    std::optional<Factors> factors, shortcut_factors;  // of a convolution
    std::optional<Plaintext> shortcut_gains;
    std::vector<Plaintext> shifts;  // of a square, by strand
    std::vector<Plaintext> matrix;  // of the linear layer
  };
  struct Layer {
    bool adds_trunk = false;
    ConvolutionSteps steps;
    std::vector<Weights> groups;
  };

  EncryptedNetwork(const Plan& plan, const Scheme& scheme) : plan_(plan), scheme_(&scheme) {}
  Result<Weights> prepare(const network::Convolution& convolution, size_t index,
                          size_t group) const;
  Result<Weights> prepare(const network::Square& square, size_t index, size_t group) const;
  Result<Weights> prepare(const network::Linear& linear, size_t index, size_t group) const;

  // The results of a group before the linear layer.
  Ciphertext run_group(size_t group, Ciphertexts values, const Observer& observer) const;
  // Appends what a shortcut puts aside.
  Ciphertexts convolve(const Layer& layer, const Weights& weights, const Ciphertexts& input,
                       Ciphertexts& aside) const;
  Ciphertext sum_of_turns(std::span<Extended> sums, std::span<const int64_t> steps) const;
  void add(Ciphertexts& target, Ciphertexts&& addends) const;
  Ciphertext square(Ciphertext input, const Plaintext& shift) const;
  // Adds a group's share of every giant step.
  void multiply(const Weights& weights, const Ciphertext& input, std::vector<Extended>& sums) const;
  Ciphertext finish_linear(std::span<Extended> sums) const;
  Ciphertext scaled(Ciphertext result, double length, double scale) const;

  Plan plan_;
  uint32_t patches_ = 0;  // of the network
  const Scheme* scheme_;
  std::vector<Layer> layers_;
  std::optional<Plaintext> bias_;
};

extern template class EncryptedNetwork<ckks::Evaluator>;
extern template class EncryptedNetwork<ckks::PlainEvaluator>;

}  // namespace bauta::circuits
