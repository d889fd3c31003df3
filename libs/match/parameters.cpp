#include "match/parameters.h"

#include <bit>
#include <cmath>

namespace bauta::match {
namespace {

constexpr size_t kMinWidth = 64;
constexpr int kLog2ProductScale = 58;  // of r*Dq*Dk

const ckks::ParametersLiteral& gallery_ring() {
  static const ckks::ParametersLiteral literal{
      .degree = kDegree,
      .primes = {1073479681, 1071513601},
      .special_primes = {8257537, 7340033},
  };
  return literal;
}

}  // namespace

Result<Parameters> Parameters::create(size_t dimension) {
  if (dimension == 0 || dimension > kMaxDimension)
    return make_error(ErrorCode::invalid_argument,
                      "embeddings of dimension {} cannot be stored encrypted; 1 to {} can",
                      dimension, kMaxDimension);
  BAUTA_TRY(ckks::Parameters ring, ckks::Parameters::create(gallery_ring()));
  Parameters parameters(std::move(ring));
  parameters.dimension_ = dimension;
  parameters.width_ = std::max(kMinWidth, std::bit_ceil(dimension));
  const int log2_scales = kLog2ProductScale - std::countr_zero(parameters.width_);
  parameters.probe_scale_ = std::ldexp(1.0, (log2_scales + 1) / 2);
  parameters.reference_scale_ = std::ldexp(1.0, log2_scales / 2);

  ByteWriter writer;
  writer.raw(as_bytes("bauta gallery parameters 1"));
  writer.raw(parameters.ring_.digest());
  writer.u64(dimension);
  writer.u64(parameters.width_);
  writer.f64(parameters.probe_scale_);
  writer.f64(parameters.reference_scale_);
  parameters.digest_ = sha256(writer.bytes());
  return parameters;
}

double Parameters::score_scale() const {
  return static_cast<double>(width_) * probe_scale_ * reference_scale_ / ring_.primes()[1];
}

}  // namespace bauta::match
