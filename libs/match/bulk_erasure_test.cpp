#include "match/bulk_erasure.h"

#include <gtest/gtest.h>

#include "match/bulk.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

std::vector<Embedding> some_people(size_t dimension, size_t count) {
  People people(dimension);
  std::vector<Embedding> embeddings;
  for (size_t i = 0; i < count; ++i) embeddings.push_back(people.next());
  return embeddings;
}

BulkBlock block_of(const Parameters& parameters, const std::vector<Embedding>& people) {
  std::vector<float> rows;
  for (const Embedding& person : people) rows.insert(rows.end(), person.begin(), person.end());
  return must(BulkBlock::create(parameters, rows));
}

// All polynomials, with noise of up to `noise`, after the references were taken out.
std::vector<std::vector<int32_t>> rewritten(const Parameters& parameters,
                                            const std::vector<Embedding>& people,
                                            const std::vector<uint32_t>& erased, int noise) {
  const BulkBlock block = block_of(parameters, people);
  std::mt19937 random(3);
  std::uniform_int_distribution<int32_t> error(-noise, noise);
  std::vector<std::vector<int32_t>> polynomials;
  BulkErasure erasure = must(BulkErasure::create(parameters, erased));
  for (size_t u = 0; u < parameters.width(); ++u) {
    const TemplatePolynomial encoded = must(block.encode(u));
    polynomials.emplace_back(encoded.span().begin(), encoded.span().end());
    for (int32_t& coefficient : polynomials.back()) coefficient += error(random);
    erasure.read(u, polynomials.back());
  }
  erasure.finish();
  for (size_t u = 0; u < parameters.width(); ++u) must(erasure.remove(u, polynomials[u]));
  return polynomials;
}

// What erasing leaves is what a block without the references is made of, and noise of its size.
void expect_gone(size_t dimension, size_t count, const std::vector<uint32_t>& erased, int noise) {
  const Parameters parameters = must(Parameters::create(dimension));
  const std::vector<Embedding> people = some_people(dimension, count);
  const auto polynomials = rewritten(parameters, people, erased, noise);
  std::vector<Embedding> others = people;
  for (const uint32_t j : erased) others[j].assign(dimension, 0);
  // BulkBlock takes no zeros; the rest is encoded as the sum of what each of it is alone.
  std::vector<std::vector<double>> expected(parameters.width(), std::vector<double>(kDegree));
  for (size_t u = 0; u < parameters.width(); ++u)
    for (size_t j = 0; j < count; ++j)
      for (size_t t = 0; t < dimension; ++t) {
        const size_t exponent = (j + t * parameters.stride() * (2 * u + 1)) % (2 * kDegree);
        const double entry = parameters.reference_scale() * double{others[j][t]};
        expected[u][exponent % kDegree] += exponent < kDegree ? entry : -entry;
      }
  // Each erased reference adds the mean of `width` errors to a coefficient, and a rounding.
  const double bound = 2 + noise +
                       6 * std::sqrt(static_cast<double>(erased.size())) *
                           (0.3 + noise / std::sqrt(static_cast<double>(dimension)));
  double largest = 0;
  for (size_t u = 0; u < parameters.width(); ++u)
    for (size_t i = 0; i < kDegree; ++i)
      largest = std::max(largest, std::abs(polynomials[u][i] - expected[u][i]));
  EXPECT_LT(largest, bound);
}

TEST(BulkErasure, LeavesWhatABlockWithoutTheReferencesIsMadeOf) {
  expect_gone(64, 200, {0}, 0);
  expect_gone(64, 200, {3, 17, 64, 67, 128, 199}, 40);  // three share their coefficients
  expect_gone(100, 60, {5, 37, 59}, 40);                // narrower than its width
  expect_gone(512, 20, {0, 8, 19}, 40);
}

TEST(BulkErasure, EmptiesAFullBlock) {
  // The whole of a full block in one piece, at the highest coefficient too.
  const Parameters parameters = must(Parameters::create(64));
  ASSERT_EQ(BulkErasure::max_references(parameters), kDegree);
  std::vector<uint32_t> all(kDegree);
  for (uint32_t j = 0; j < kDegree; ++j) all[j] = j;
  const auto polynomials = rewritten(parameters, some_people(64, kDegree), all, 0);
  for (const auto& polynomial : polynomials)
    for (const int32_t coefficient : polynomial) ASSERT_LE(std::abs(coefficient), 60);
}

TEST(BulkErasure, FitsLockedMemory) {
  for (const size_t dimension : {64, 128, 512, 1024}) {
    const Parameters parameters = must(Parameters::create(dimension));
    EXPECT_LE(BulkErasure::max_references(parameters) * dimension * sizeof(int64_t),
              size_t{4} << 20);
    EXPECT_GE(BulkErasure::max_references(parameters), 512u);
  }
}

}  // namespace
}  // namespace bauta::match
