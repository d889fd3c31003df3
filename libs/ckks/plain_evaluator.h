// The plaintext twin of ckks/evaluator.h: the same interface and the same preconditions on numbers
// in the clear, with a prediction of the error that encryption would add, and a record of the keys
// that the circuit needs.
#pragma once

#include <set>
#include <span>
#include <vector>

#include "ckks/evaluator.h"
#include "ckks/noise.h"

namespace bauta::ckks {

// Not thread-safe.
class PlainEvaluator {
 public:
  // Instead of polynomials, the slots. `deviation` is the predicted standard deviation of the error
  // of the slot that has the largest; errors of operands are taken as independent.
  struct Ciphertext {
    std::vector<Complex> slots;
    size_t limbs = 0;
    double scale = 1;
    double deviation = 0;

    Ciphertext clone() const { return *this; }
    // What no slot's error exceeds, but for one ciphertext of 2^30.
    double error_bound() const { return kBoundDeviations * deviation; }
  };
  struct Plaintext {
    std::vector<Complex> slots;
    size_t limbs = 0;
    double scale = 1;
    bool extended = false;
  };
  struct PeriodicFactors {
    std::vector<std::vector<double>> values;  // a period each, [outputs][terms]
    size_t outputs = 0;
    size_t limbs = 0;
    double scale = 1;
  };
  struct Product {
    Ciphertext value;
  };
  struct Hoisted {
    const Ciphertext* source;
  };
  struct Extended {
    Ciphertext value;
  };
  struct Sums {
    std::span<const size_t> terms;
    const PeriodicFactors* factors = nullptr;
  };

  // The heaviest tail is that of a rounding error times the secret: in a slot both are complex
  // Gaussians, and their product exceeds t deviations with probability about sqrt(pi t) exp(-2 t),
  // which is 2^-45 here: 2^-30 for all slots of the largest ring.
  static constexpr double kBoundDeviations = 16.7;

  // The stages of the key set that the circuit would run with.
  PlainEvaluator(const Parameters& parameters, std::span<const KeySwitchShape> stages);

  const Parameters& parameters() const { return parameters_; }
  size_t slots() const { return parameters_.degree() / 2; }
  double last_modulus(size_t limbs) const;

  // As a fresh ciphertext; padded with zeros. public_key: as secret::encrypt_public makes it.
  Ciphertext encrypt(std::span<const Complex> values, double scale, size_t limbs,
                     bool public_key = false) const;

  // What Evaluator says of the function of the same name holds here.
  Result<Plaintext> encode(std::span<const Complex> values, double scale, size_t limbs) const;
  Result<Plaintext> encode_extended(std::span<const Complex> values, double scale,
                                    size_t limbs) const;
  Result<PeriodicFactors> encode_periodic(std::span<const std::vector<double>> values,
                                          size_t outputs, double scale, size_t limbs) const;
  void add_in_place(Ciphertext& target, const Ciphertext& addend) const;
  void subtract_in_place(Ciphertext& target, const Ciphertext& subtrahend) const;
  void add_in_place(Product& target, const Product& addend) const;
  void negate_in_place(Ciphertext& target) const;
  void add_plain_in_place(Ciphertext& target, const Plaintext& addend) const;
  void multiply_plain_in_place(Ciphertext& target, const Plaintext& factor) const;
  void add_constant_in_place(Ciphertext& target, double value) const;
  void multiply_constant_in_place(Ciphertext& target, double value, double scale) const;
  Product multiply(const Ciphertext& a, const Ciphertext& b) const;
  Product square(const Ciphertext& a) const;
  Ciphertext relinearize(Product&& product) const;
  void rescale_in_place(Ciphertext& target) const;
  void drop_limbs_in_place(Ciphertext& target, size_t limbs) const;
  Ciphertext rotate(const Ciphertext& ciphertext, int64_t steps) const;
  Ciphertext conjugate(const Ciphertext& ciphertext) const;
  Hoisted hoist(const Ciphertext& ciphertext) const { return {&ciphertext}; }
  Ciphertext rotate(const Hoisted& hoisted, int64_t steps) const;
  Extended rotate_extended(const Hoisted& hoisted, int64_t steps) const;
  Extended rotate_extended(Extended&& extended, int64_t steps) const;
  void add_in_place(Extended& target, const Extended& addend) const;
  Extended inner_product(std::span<const Extended* const> terms,
                         std::span<const Plaintext* const> factors) const;
  std::vector<Extended> rotate_and_sum(std::span<const Hoisted> sources,
                                       std::span<const Turn> turns,
                                       std::span<const Sums> sums) const;
  Ciphertext reduce(Extended&& extended) const;

  // The keys used so far.
  const std::set<KeyUse>& key_uses() const { return key_uses_; }

 private:
  const KeySwitchShape& stage(size_t limbs) const;
  // Records the use of a key and adds its noise, with or without the division that ends a switch.
  void switch_key(Ciphertext& target, uint32_t element, bool divide) const;
  void add_noise(Ciphertext& target, double variance) const;
  // The sum of the terms times one output's factors.
  Ciphertext weighted_sum(std::span<const Extended* const> terms, const PeriodicFactors& factors,
                          size_t output) const;
  // The message must fit the modulus.
  void check_size(const Ciphertext& ciphertext) const;
  Ciphertext turned(const Ciphertext& source, int64_t steps) const;

  Parameters parameters_;
  std::vector<KeySwitchShape> stages_;
  Encoder encoder_;
  NoiseModel noise_;
  mutable std::set<KeyUse> key_uses_;
};

}  // namespace bauta::ckks
