#include "match/clusters.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace bauta::match {
namespace {

constexpr int kRounds = 12;

float inner_product(std::span<const float> a, std::span<const float> b) {
  // Eight sums, which the compiler can keep in one register.
  float sums[8] = {};
  size_t t = 0;
  for (; t + 8 <= a.size(); t += 8)
    for (size_t lane = 0; lane < 8; ++lane) sums[lane] += a[t + lane] * b[t + lane];
  for (; t < a.size(); ++t) sums[0] += a[t] * b[t];
  return std::accumulate(std::begin(sums), std::end(sums), 0.0f);
}

struct Nearest {
  uint32_t cluster = 0;
  float likeness = -2;
};

class Clustering {
 public:
  Clustering(std::span<const float> rows, size_t dimension, size_t capacity, uint64_t seed,
             ThreadPool& pool)
      : rows_(rows),
        count_(rows.size() / dimension),
        capacity_(capacity),
        random_(seed),
        pool_(pool),
        nearest_(count_) {
    clusters_.dimension = dimension;
  }

  Clusters make() {
    start_from_random_rows();
    for (int round = 0; round < kRounds; ++round) {
      find_nearest();
      move_centroids();
    }
    find_nearest();
    fill();
    return std::move(clusters_);
  }

 private:
  std::span<const float> row(size_t i) const {
    return rows_.subspan(i * clusters_.dimension, clusters_.dimension);
  }
  std::span<float> centroid(size_t cluster) {
    return std::span(clusters_.centroids)
        .subspan(cluster * clusters_.dimension, clusters_.dimension);
  }

  void start_from_random_rows() {
    const size_t clusters = (count_ + capacity_ - 1) / capacity_;
    std::vector<size_t> order(count_);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::shuffle(order, random_);
    clusters_.centroids.resize(clusters * clusters_.dimension);
    for (size_t c = 0; c < clusters; ++c) std::ranges::copy(row(order[c]), centroid(c).begin());
  }

  // May(cluster): whether it counts.
  template <typename May>
  Nearest nearest_to(size_t i, May may) {
    Nearest nearest;
    for (uint32_t c = 0; c < clusters_.count(); ++c) {
      if (!may(c)) continue;
      const float likeness = inner_product(row(i), centroid(c));
      if (likeness > nearest.likeness) nearest = {c, likeness};
    }
    return nearest;
  }

  void find_nearest() {
    pool_.parallel_for(count_, [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i)
        nearest_[i] = nearest_to(i, [](uint32_t) { return true; });
    });
  }

  // To the mean direction of their rows; one that has lost all starts anew from a random row.
  void move_centroids() {
    std::vector<size_t> members(clusters_.count());
    std::ranges::fill(clusters_.centroids, 0.0f);
    for (size_t i = 0; i < count_; ++i) {
      const std::span<float> sum = centroid(nearest_[i].cluster);
      for (size_t t = 0; t < sum.size(); ++t) sum[t] += row(i)[t];
      ++members[nearest_[i].cluster];
    }
    for (size_t c = 0; c < clusters_.count(); ++c) {
      const std::span<float> sum = centroid(c);
      const float length = std::sqrt(inner_product(sum, sum));
      if (members[c] == 0 || !(length > 0)) {
        std::ranges::copy(row(random_() % count_), sum.begin());
        continue;
      }
      for (float& value : sum) value /= length;
    }
  }

  // The most typical rows first, so that those which must go elsewhere lose least.
  void fill() {
    std::vector<size_t> order(count_);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, std::greater{}, [&](size_t i) { return nearest_[i].likeness; });
    std::vector<size_t> members(clusters_.count());
    clusters_.cluster_of.resize(count_);
    const auto has_room = [&](uint32_t c) { return members[c] < capacity_; };
    for (const size_t i : order) {
      const uint32_t wanted = nearest_[i].cluster;
      const uint32_t taken = has_room(wanted) ? wanted : nearest_to(i, has_room).cluster;
      clusters_.cluster_of[i] = taken;
      ++members[taken];
    }
  }

  const std::span<const float> rows_;
  const size_t count_, capacity_;
  std::mt19937_64 random_;
  ThreadPool& pool_;
  Clusters clusters_;
  std::vector<Nearest> nearest_;  // of each row
};

}  // namespace

std::vector<uint32_t> Clusters::nearest(std::span<const float> probe, size_t visited) const {
  BAUTA_ASSERT(probe.size() == dimension && visited <= count());
  std::vector<float> likeness(count());
  for (size_t c = 0; c < likeness.size(); ++c)
    likeness[c] = inner_product(probe, std::span(centroids).subspan(c * dimension, dimension));
  std::vector<uint32_t> order(count());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, std::greater{}, [&](uint32_t c) { return likeness[c]; });
  order.resize(visited);
  return order;
}

Result<Clusters> make_clusters(std::span<const float> rows, size_t dimension, size_t capacity,
                               uint64_t seed, ThreadPool& pool) {
  if (rows.empty() || dimension == 0 || rows.size() % dimension != 0 || capacity == 0)
    return make_error(ErrorCode::invalid_argument,
                      "clusters of at most {} cannot be made of {} numbers in rows of {}", capacity,
                      rows.size(), dimension);
  return Clustering(rows, dimension, capacity, seed, pool).make();
}

}  // namespace bauta::match
