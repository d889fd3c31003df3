#include "match/clusters.h"

#include <cmath>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bauta::match {
namespace {

constexpr size_t kDimension = 16;

std::vector<float> unit(std::vector<float> row) {
  float squares = 0;
  for (const float value : row) squares += value * value;
  for (float& value : row) value /= std::sqrt(squares);
  return row;
}

// Rows about as many axes as there are groups, by turns.
std::vector<float> grouped_rows(size_t groups, size_t count, float spread) {
  std::mt19937_64 random(7);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> rows;
  for (size_t i = 0; i < count; ++i) {
    std::vector<float> row(kDimension);
    for (float& value : row) value = normal(random);
    row[i % groups] += 1;
    const std::vector<float> of_unit_length = unit(row);
    rows.insert(rows.end(), of_unit_length.begin(), of_unit_length.end());
  }
  return rows;
}

std::vector<size_t> sizes(const Clusters& clusters) {
  std::vector<size_t> members(clusters.count());
  for (const uint32_t cluster : clusters.cluster_of) ++members[cluster];
  return members;
}

TEST(Clusters, NoneIsLargerThanTheCapacityAndThereAreAsFewAsCanBe) {
  ThreadPool pool(2);
  for (const size_t count : {1u, 5u, 37u, 100u, 333u})
    for (const size_t capacity : {1u, 7u, 50u, 400u}) {
      const std::vector<float> rows = grouped_rows(3, count, 0.3f);
      const Clusters clusters =
          std::move(make_clusters(rows, kDimension, capacity, 1, pool)).value();
      EXPECT_EQ(clusters.count(), (count + capacity - 1) / capacity);
      ASSERT_EQ(clusters.cluster_of.size(), count);
      EXPECT_THAT(sizes(clusters), testing::Each(testing::Le(capacity)));
      for (const float value : clusters.centroids) EXPECT_TRUE(std::isfinite(value));
    }
}

TEST(Clusters, RowsOfOneGroupAreTogetherAndAProbeLikeThemVisitsThemFirst) {
  ThreadPool pool(2);
  const std::vector<float> rows = grouped_rows(2, 60, 0.05f);
  const Clusters clusters = std::move(make_clusters(rows, kDimension, 30, 1, pool)).value();
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(clusters.cluster_of[i], clusters.cluster_of[i % 2]);
    const auto nearest = clusters.nearest(std::span(rows).subspan(i * kDimension, kDimension), 2);
    EXPECT_EQ(nearest[0], clusters.cluster_of[i]);
    EXPECT_NE(nearest[1], nearest[0]);
  }
}

TEST(Clusters, AreTheSameForTheSameSeed) {
  ThreadPool one(1), two(2);
  const std::vector<float> rows = grouped_rows(5, 200, 0.4f);
  const Clusters first = std::move(make_clusters(rows, kDimension, 20, 9, one)).value();
  const Clusters second = std::move(make_clusters(rows, kDimension, 20, 9, two)).value();
  EXPECT_EQ(first.cluster_of, second.cluster_of);
  EXPECT_EQ(first.centroids, second.centroids);
}

TEST(Clusters, RowsThatAreAllTheSameFillOneAfterAnother) {
  ThreadPool pool(1);
  std::vector<float> rows(10 * kDimension);
  for (size_t i = 0; i < 10; ++i) rows[i * kDimension] = 1;
  const Clusters clusters = std::move(make_clusters(rows, kDimension, 4, 1, pool)).value();
  EXPECT_THAT(sizes(clusters), testing::Each(testing::Le(4u)));
}

TEST(Clusters, NothingToClusterIsRefused) {
  ThreadPool pool(1);
  const std::vector<float> rows(2 * kDimension + 1);
  EXPECT_EQ(make_clusters({}, kDimension, 4, 1, pool).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(make_clusters(rows, kDimension, 4, 1, pool).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(make_clusters(std::span(rows).first(kDimension), kDimension, 0, 1, pool).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(make_clusters(rows, 0, 4, 1, pool).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace bauta::match
