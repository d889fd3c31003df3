#include "match/template_codec.h"

#include <cmath>

namespace bauta::match {
namespace {

int32_t scaled(double scale, float entry) {
  return static_cast<int32_t>(std::lround(scale * entry));
}

}  // namespace

Status check_embedding(const Parameters& parameters, std::span<const float> embedding) {
  if (embedding.size() != parameters.dimension())
    return make_error(ErrorCode::invalid_argument,
                      "the embedding has {} entries, this gallery's contract says {}",
                      embedding.size(), parameters.dimension());
  double squared_norm = 0;
  for (const float entry : embedding) {
    if (!std::isfinite(entry))
      return make_error(ErrorCode::invalid_argument,
                        "the embedding has an entry that is not a finite number");
    squared_norm += double{entry} * entry;
  }
  // Written so that an overflow to infinity fails too.
  if (!(std::abs(std::sqrt(squared_norm) - 1) <= kNormTolerance))
    return make_error(ErrorCode::invalid_argument,
                      "the embedding has norm {:.4f}; normalise it to 1 first",
                      std::sqrt(squared_norm));
  return {};
}

Result<TemplatePolynomial> encode_probe(const Parameters& parameters,
                                        std::span<const float> embedding) {
  BAUTA_CHECK(check_embedding(parameters, embedding));
  BAUTA_TRY(TemplatePolynomial polynomial, TemplatePolynomial::create(kDegree));
  const double scale = parameters.probe_scale();
  polynomial.data()[0] = scaled(scale, embedding[0]);
  for (size_t i = 1; i < embedding.size(); ++i)  // Y^-i = -X^(N - i*stride)
    polynomial.data()[kDegree - i * parameters.stride()] = -scaled(scale, embedding[i]);
  return polynomial;
}

Result<TemplatePolynomial> encode_reference(const Parameters& parameters,
                                            std::span<const float> embedding) {
  BAUTA_CHECK(check_embedding(parameters, embedding));
  BAUTA_TRY(TemplatePolynomial polynomial, TemplatePolynomial::create(kDegree));
  for (size_t i = 0; i < embedding.size(); ++i)
    polynomial.data()[i * parameters.stride()] = scaled(parameters.reference_scale(), embedding[i]);
  return polynomial;
}

}  // namespace bauta::match
