// Predicted noise: variances of single coefficients, in units of the integers that ciphertexts
// hold. Averages over random keys and ciphertexts, for ternary secrets and the errors of
// ring/sampler.h.
#pragma once

#include "ckks/keys.h"

namespace bauta::ckks {

class NoiseModel {
 public:
  explicit NoiseModel(const Parameters& parameters) : parameters_(parameters) {}

  // Rounding a message to integers.
  double encoding() const { return 1.0 / 12; }
  double fresh_secret() const;
  // Sampled over the limbs and P, and divided by P.
  double fresh_public() const;
  // Of a key switch, without the rounding of the division by P that ends it.
  double key_switch(const KeySwitchShape& shape) const;
  // Dividing a ciphertext by dropped moduli: the rounding errors of both halves, one times s.
  double division() const;

  // The standard deviation of a slot's complex error that coefficients of this variance make.
  double slot_deviation(double variance, double scale) const;

 private:
  Parameters parameters_;
};

}  // namespace bauta::ckks
