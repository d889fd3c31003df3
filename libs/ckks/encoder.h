// Numbers to plaintext polynomials and back.
#pragma once

#include <complex>
#include <span>
#include <vector>

#include "ckks/parameters.h"
#include "ckks/slot_transform.h"
#include "ring/polynomial.h"

namespace bauta::ckks {

// Coefficients are rounded to integers below this; what is encoded must fit.
inline constexpr double kMaxMessageCoefficient = 0x1p62;

// N integers: the message times scale, rounded.
struct Message {
  std::vector<int64_t> coefficients;
  double scale = 1;
};

// A message as a polynomial, ready to be multiplied with ciphertexts of the same basis or a shorter
// one.
struct Plaintext {
  ring::EvaluationPolynomial polynomial;
  double scale = 1;
};

Plaintext make_plaintext(const Message& message, const ring::Basis& basis,
                         ThreadPool* pool = nullptr);

// N numbers in the balanced representation (-Q/2, Q/2), as doubles: exact below 2^53. One limb of
// coefficients per modulus of the basis.
std::vector<double> centred_values(std::span<const ring::ConstLimb> limbs,
                                   const ring::Basis& basis);

// Thread-safe.
class Encoder {
 public:
  explicit Encoder(size_t degree) : transform_(degree) {}

  size_t slots() const { return transform_.slots(); }

  // Into slots; slots beyond values.size() are zero. Errors invalid_argument: too many values, not
  // finite, or too large for the scale.
  Result<Message> encode(std::span<const Complex> values, double scale) const;
  Result<Message> encode(std::span<const double> values, double scale) const;
  // Into coefficients, likewise.
  Result<Message> encode_coefficients(std::span<const double> values, double scale) const;

  // From centred coefficients.
  std::vector<Complex> decode(std::span<const double> coefficients, double scale) const;

 private:
  SlotTransform transform_;
};

}  // namespace bauta::ckks
