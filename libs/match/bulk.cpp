#include "match/bulk.h"

#include <algorithm>
#include <cmath>

namespace bauta::match {
namespace {

// Sums beyond this belong to no set of unit vectors that a face engine makes; they would come near
// the word size.
constexpr double kMaxCoefficient = 1 << 30;

}  // namespace

Result<BulkBlock> BulkBlock::create(const Parameters& parameters,
                                    std::span<const float> embeddings) {
  const size_t dimension = parameters.dimension();
  const size_t count = embeddings.size() / dimension;
  if (count == 0 || count > kDegree || embeddings.size() % dimension != 0)
    return make_error(ErrorCode::invalid_argument,
                      "{} values are not 1 to {} embeddings of dimension {}", embeddings.size(),
                      kDegree, dimension);
  BulkBlock block(parameters);
  block.references_ = count;
  block.columns_.resize(embeddings.size());
  for (size_t j = 0; j < count; ++j) {
    const std::span<const float> row = embeddings.subspan(j * dimension, dimension);
    if (const Status unit = check_embedding(parameters, row); !unit.ok())
      return make_error(unit.error().code, "row {}: {}", j, unit.error().message);
    for (size_t t = 0; t < dimension; ++t) block.columns_[t * count + j] = row[t];
  }
  return block;
}

BulkBlock::~BulkBlock() {
  wipe({reinterpret_cast<uint8_t*>(columns_.data()), columns_.size() * sizeof(float)});
}

Result<TemplatePolynomial> BulkBlock::encode(size_t u) const {
  BAUTA_ASSERT(u < parameters_.width());
  // Entry t of reference j stands at exponent t*stride*g + j: for one t, a run of neighbours that
  // wraps around with a sign.
  BAUTA_TRY(SecretArray<double> sums_storage, SecretArray<double>::create(kDegree));
  const std::span<double> sums = sums_storage.span();
  const size_t element = 2 * u + 1;
  for (size_t t = 0; t < parameters_.dimension(); ++t) {
    const float* column = columns_.data() + t * references_;
    const size_t begin = t * parameters_.stride() * element % (2 * kDegree);
    const size_t place = begin % kDegree;
    const double sign = begin < kDegree ? 1 : -1;
    const size_t before_wrap = std::min(references_, kDegree - place);
    for (size_t j = 0; j < before_wrap; ++j) sums[place + j] += sign * column[j];
    for (size_t j = before_wrap; j < references_; ++j)
      sums[place + j - kDegree] -= sign * column[j];
  }
  BAUTA_TRY(TemplatePolynomial message, TemplatePolynomial::create(kDegree));
  for (size_t i = 0; i < kDegree; ++i) {
    const double coefficient = parameters_.reference_scale() * sums[i];
    if (!(std::abs(coefficient) < kMaxCoefficient))
      return make_error(
          ErrorCode::invalid_argument,
          "the embeddings of a block add up to {:.1f}, which no faces do; are they all "
          "the same?",
          sums[i]);
    message.data()[i] = static_cast<int32_t>(std::lround(coefficient));
  }
  return message;
}

}  // namespace bauta::match
