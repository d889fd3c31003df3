// Plaintext factors whose slots repeat, in the little memory that they need.
//
// Slots that repeat with period p are the slots of a polynomial in X^(N/2p). Such a polynomial has
// 2p different values modulo a prime, each the same over N/2p values in a row of the evaluation
// order (ring/ntt.h): 2p words a modulus instead of N.
#pragma once

#include <vector>

#include "ckks/encoder.h"

namespace bauta::ckks {

// A matrix of such factors, `outputs` x `terms` of them.
struct PeriodicFactors {
  size_t outputs = 0, terms = 0;
  size_t period = 0;
  double scale = 1;
  ring::Basis basis;
  // [modulus of the basis][2 * period blocks][outputs][terms]
  std::vector<uint32_t> words;

  // The factors that block `block` of the values modulo modulus j is multiplied with.
  const uint32_t* block_factors(size_t j, size_t block) const {
    return words.data() + (j * 2 * period + block) * outputs * terms;
  }
};

// values: one period of real slots for each factor, in the order [outputs][terms]. period: a power
// of two from 2 to a 32nd of the degree. Errors: those of Encoder::encode.
Result<PeriodicFactors> encode_periodic(std::span<const std::vector<double>> values, size_t outputs,
                                        double scale, const ring::Basis& basis,
                                        ThreadPool* pool = nullptr);

}  // namespace bauta::ckks
