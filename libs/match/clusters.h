// Templates in clusters by likeness, so that a probe is compared with its nearest clusters alone:
// what the FRIP paper does to shorten its round trip, with k-means on the embeddings. Made where
// embeddings are in the clear; which clusters are visited is visible to who searches, and tells
// whom the probe is like. No service uses it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"

namespace bauta::match {

struct Clusters {
  size_t dimension = 0;
  std::vector<float> centroids;      // of unit length, one after another
  std::vector<uint32_t> cluster_of;  // of each row

  size_t count() const { return centroids.size() / dimension; }

  // The clusters whose centroids are most like the probe, the most alike first. Precondition: the
  // probe is of this dimension, visited <= count().
  std::vector<uint32_t> nearest(std::span<const float> probe, size_t visited) const;
};

// As few clusters as can be of at most `capacity` rows each, by spherical k-means (Lloyd's rounds
// from random rows); rows for which their cluster has no room go to the next nearest that has, the
// least typical ones. The same for the same seed. rows: unit vectors, one after another. Error
// invalid_argument: no rows, no capacity, or not a whole number of rows.
Result<Clusters> make_clusters(std::span<const float> rows, size_t dimension, size_t capacity,
                               uint64_t seed, ThreadPool& pool);

}  // namespace bauta::match
