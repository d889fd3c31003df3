// Arithmetic on ciphertexts.
//
// ckks/plain_evaluator.h has the same interface on numbers in the clear, so that a circuit written
// against the type `Evaluator` runs on either; what one refuses the other refuses. Scales are
// exact: operands that must have equal scales must have them equal up to the rounding of doubles
// (kScaleTolerance). All preconditions are asserted: a circuit that breaks one is a bug.
#pragma once

#include <memory>
#include <mutex>

#include "ckks/ciphertext.h"
#include "ckks/encoder.h"
#include "ckks/key_set.h"
#include "ckks/key_switching.h"
#include "ckks/periodic_factors.h"

namespace bauta::ckks {

inline constexpr double kScaleTolerance = 0x1p-45;  // relative

bool equal_scales(double a, double b);

// A rotation of one of several ciphertexts.
struct Turn {
  size_t source = 0;
  int64_t steps = 0;

  friend auto operator<=>(const Turn&, const Turn&) = default;
};

// Thread-safe. The pool, where there is one, is used inside operations; results do not depend on
// it.
class Evaluator {
 public:
  using Ciphertext = EvaluationCiphertext;
  using Plaintext = ckks::Plaintext;
  using Product = ProductCiphertext;
  using PeriodicFactors = ckks::PeriodicFactors;

  // A ciphertext with its second half decomposed, so that many rotations share that work.
  struct Hoisted {
    const Ciphertext* source;  // must outlive this
    Decomposition digits;
  };

  // A ciphertext times P, over its limbs and the special moduli of its stage: sums and plaintext
  // products are taken here, and P is divided out once at the end (double hoisting: Bossuat,
  // Mouchet, Troncoso-Pastoriza, Hubaux, EUROCRYPT 2021).
  struct Extended {
    ring::EvaluationPolynomial c0, c1;
    size_t limbs = 0;
    double scale = 1;
    KeyId key_id;
  };

  // Sums of products, one for each output of the factors: of factor (o, t) times turn terms[t].
  struct Sums {
    std::span<const size_t> terms;  // into a list of turns
    const PeriodicFactors* factors = nullptr;
  };

  Evaluator(const Parameters& parameters, std::shared_ptr<const KeySet> keys,
            ThreadPool* pool = nullptr);

  const Parameters& parameters() const { return parameters_; }
  size_t slots() const { return encoder_.slots(); }
  // The modulus that rescaling a ciphertext of so many limbs divides by.
  double last_modulus(size_t limbs) const;

  // For ciphertexts of up to so many limbs. Errors: those of Encoder::encode.
  Result<Plaintext> encode(std::span<const Complex> values, double scale, size_t limbs) const;
  // For inner_product on ciphertexts of exactly so many limbs.
  Result<Plaintext> encode_extended(std::span<const Complex> values, double scale,
                                    size_t limbs) const;
  // For rotate_and_sum on ciphertexts of exactly so many limbs; ckks/periodic_factors.h says what
  // values are.
  Result<PeriodicFactors> encode_periodic(std::span<const std::vector<double>> values,
                                          size_t outputs, double scale, size_t limbs) const;

  // Operands of the same key, limbs and scale.
  void add_in_place(Ciphertext& target, const Ciphertext& addend) const;
  void subtract_in_place(Ciphertext& target, const Ciphertext& subtrahend) const;
  void add_in_place(Product& target, const Product& addend) const;
  void negate_in_place(Ciphertext& target) const;

  // Addends have the ciphertext's scale; the scale of a product is the product of the scales.
  void add_plain_in_place(Ciphertext& target, const Plaintext& addend) const;
  void multiply_plain_in_place(Ciphertext& target, const Plaintext& factor) const;
  // The same real number in every slot: cheaper. |value * scale| < kMaxMessageCoefficient.
  void add_constant_in_place(Ciphertext& target, double value) const;
  void multiply_constant_in_place(Ciphertext& target, double value, double scale) const;

  // Operands of the same key and limbs.
  Product multiply(const Ciphertext& a, const Ciphertext& b) const;
  Product square(const Ciphertext& a) const;
  Ciphertext relinearize(Product&& product) const;

  // Divides message and scale by the last limb's modulus. Two limbs or more.
  void rescale_in_place(Ciphertext& target) const;
  // The same message at the same scale with fewer limbs.
  void drop_limbs_in_place(Ciphertext& target, size_t limbs) const;

  // Needs the key of the element at the ciphertext's limbs (KeySet::check tells beforehand).
  Ciphertext rotate(const Ciphertext& ciphertext, int64_t steps) const;
  Ciphertext conjugate(const Ciphertext& ciphertext) const;

  Hoisted hoist(const Ciphertext& ciphertext) const;
  Ciphertext rotate(const Hoisted& hoisted, int64_t steps) const;
  Extended rotate_extended(const Hoisted& hoisted, int64_t steps) const;
  // With a division of c1 only.
  Extended rotate_extended(Extended&& extended, int64_t steps) const;
  // Operands of the same key, limbs and scale.
  void add_in_place(Extended& target, const Extended& addend) const;
  // The sum of factors[i] * terms[i]. Terms of the same key, limbs and scale; factors of one scale.
  Extended inner_product(std::span<const Extended* const> terms,
                         std::span<const Plaintext* const> factors) const;
  // All outputs of all sums, in order: what inner_product would make of the rotations, without
  // holding them. Preconditions: sources of the same key, limbs and scale; factors of these limbs.
  std::vector<Extended> rotate_and_sum(std::span<const Hoisted> sources,
                                       std::span<const Turn> turns,
                                       std::span<const Sums> sums) const;
  Ciphertext reduce(Extended&& extended) const;

 private:
  const SwitchingKey& key(uint32_t element, size_t limbs) const;
  const KeySwitcher& switcher(size_t limbs) const;
  ring::EvaluationPolynomial turned(const ring::EvaluationPolynomial& polynomial,
                                    uint32_t element) const;
  template <typename SecondHalf>
  Ciphertext turn(const Ciphertext& source, const SecondHalf& second_half, uint32_t element) const;

  Parameters parameters_;
  std::shared_ptr<const KeySet> keys_;
  ThreadPool* pool_;
  Encoder encoder_;
  mutable std::mutex mutex_;                                                // guards what follows
  mutable std::map<size_t, std::unique_ptr<const KeySwitcher>> switchers_;  // by limbs
};

}  // namespace bauta::ckks
