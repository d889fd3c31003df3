#include "ckks/encoder.h"

#include <algorithm>
#include <cmath>

#include "simd/kernels.h"

namespace bauta::ckks {
namespace {

Status check_count(size_t count, size_t room) {
  if (count <= room) return {};
  return make_error(ErrorCode::invalid_argument, "{} values do not fit into {} places", count,
                    room);
}

Result<Message> rounded(std::vector<double>&& coefficients, double scale) {
  Message message{std::vector<int64_t>(coefficients.size()), scale};
  for (size_t i = 0; i < coefficients.size(); ++i) {
    const double scaled = std::nearbyint(coefficients[i] * scale);
    // Written so that NaN is refused too.
    if (!(std::abs(scaled) < kMaxMessageCoefficient))
      return make_error(ErrorCode::invalid_argument,
                        "a value is not finite or too large to be encoded at scale {}", scale);
    message.coefficients[i] = static_cast<int64_t>(scaled);
  }
  return message;
}

}  // namespace

Plaintext make_plaintext(const Message& message, const ring::Basis& basis, ThreadPool* pool) {
  return {to_evaluation(ring::from_signed(message.coefficients, basis, pool), pool), message.scale};
}

// Balanced mixed-radix digits (Garner): x = d_0 + d_1 q_0 + d_2 q_0 q_1 + ... with |d_i| < q_i/2,
// so that small numbers have zero digits above, whatever their sign.
std::vector<double> centred_values(std::span<const ring::ConstLimb> limbs,
                                   const ring::Basis& basis) {
  BAUTA_ASSERT(!limbs.empty() && limbs.size() == basis.size());
  const simd::Kernels& kernels = simd::kernels();
  const size_t degree = basis.degree();
  const size_t count = limbs.size();
  ring::WordStorage digits(count * degree), lifted(degree);
  for (size_t i = 0; i < count; ++i) {
    const ring::Modulus& modulus = basis.modulus(i);
    uint32_t* digit = digits.data() + i * degree;
    std::ranges::copy(limbs[i], digit);
    for (size_t j = 0; j < i; ++j) {
      kernels.lift_centred(lifted.data(), digits.data() + j * degree, basis.constants(j), degree,
                           modulus.constants());
      const uint32_t inverse = modulus.inverse(modulus.reduce(basis.modulus(j).value()));
      kernels.subtract_multiply_constant(digit, digit, lifted.data(), modulus.shoup(inverse),
                                         degree, modulus.constants());
    }
  }
  std::vector<double> values(degree, 0.0);
  for (size_t i = count; i-- > 0;) {
    const uint32_t q = basis.modulus(i).value();
    const uint32_t* digit = digits.data() + i * degree;
    for (size_t k = 0; k < degree; ++k) {
      const int64_t centred = int64_t{digit[k]} - (digit[k] > q / 2 ? q : 0);
      values[k] = values[k] * q + static_cast<double>(centred);
    }
  }
  return values;
}

Result<Message> Encoder::encode(std::span<const Complex> values, double scale) const {
  BAUTA_CHECK(check_count(values.size(), slots()));
  std::vector<Complex> padded(slots());
  std::ranges::copy(values, padded.begin());
  return rounded(transform_.to_coefficients(padded), scale);
}

Result<Message> Encoder::encode(std::span<const double> values, double scale) const {
  BAUTA_CHECK(check_count(values.size(), slots()));
  std::vector<Complex> padded(slots());
  std::ranges::copy(values, padded.begin());
  return rounded(transform_.to_coefficients(padded), scale);
}

Result<Message> Encoder::encode_coefficients(std::span<const double> values, double scale) const {
  BAUTA_CHECK(check_count(values.size(), 2 * slots()));
  std::vector<double> padded(2 * slots());
  std::ranges::copy(values, padded.begin());
  return rounded(std::move(padded), scale);
}

std::vector<Complex> Encoder::decode(std::span<const double> coefficients, double scale) const {
  std::vector<double> unscaled(coefficients.begin(), coefficients.end());
  for (double& coefficient : unscaled) coefficient /= scale;
  return transform_.to_slots(unscaled);
}

}  // namespace bauta::ckks
