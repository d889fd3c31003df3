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
  // Called with the index of each layer that is done and with what came out of it.
  using Observer = std::function<void(size_t layer, const Ciphertext& output)>;

  // Encodes all weights. Precondition: `plan` is of `network`. Error invalid_argument: a weight too
  // large to be encoded.
  static Result<EncryptedNetwork> prepare(const Plan& plan, const network::Network& network,
                                          const Scheme& scheme);

  // From a packed image at the plan's input scale to the template polynomial of its embedding,
  // k(Y) of match/template_codec.h in the image ring, with kResultLimbs limbs. Precondition: all
  // limbs, and the plan's keys.
  Ciphertext run(Ciphertext input, const Observer& observer = {}) const;

  // Divided by `length`, with kBaseLimbs limbs at the gallery's scale for references.
  Ciphertext reference(Ciphertext result, double length = 1) const;
  // The same of k(1/Y), at the scale for probes.
  Ciphertext probe(const Ciphertext& result, double length = 1) const;

 private:
  struct Layer {
    bool adds_trunk = false;
    std::optional<typename Scheme::PeriodicFactors> factors;  // of a convolution
    std::optional<typename Scheme::Plaintext> shift;          // of a square; of the result
    std::vector<typename Scheme::Plaintext> matrix;           // of the linear layer
  };

  EncryptedNetwork(const Plan& plan, const Scheme& scheme) : plan_(plan), scheme_(&scheme) {}
  Status prepare_linear(const network::Network& network, const Step& step, Layer& layer) const;
  Ciphertext convolve(const Layer& layer, const Ciphertext& input) const;
  Ciphertext square(Ciphertext input) const;
  Ciphertext scaled(Ciphertext result, double length, double scale) const;
  Ciphertext multiply(const Layer& layer, const Ciphertext& input) const;

  Plan plan_;
  const Scheme* scheme_;
  std::vector<Layer> layers_;
};

extern template class EncryptedNetwork<ckks::Evaluator>;
extern template class EncryptedNetwork<ckks::PlainEvaluator>;

}  // namespace bauta::circuits
