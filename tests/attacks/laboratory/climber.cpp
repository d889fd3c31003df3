#include "tests/attacks/laboratory/climber.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace bauta::laboratory {
namespace {

double density(double z) {
  return std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi);
}
double below(double z) {
  return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

// matrix * vector, for a symmetric matrix.
Vector multiply(const Vector& matrix, const Vector& vector) {
  Vector product(vector.size());
  for (size_t i = 0; i < vector.size(); ++i) {
    const float* row = &matrix[i * vector.size()];
    float sum = 0;
    for (size_t j = 0; j < vector.size(); ++j) sum += row[j] * vector[j];
    product[i] = sum;
  }
  return product;
}

Vector draw_direction(size_t dimension, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  Vector direction(dimension);
  for (float& value : direction) value = normal(random);
  normalise(direction);
  return direction;
}

void add(Vector& sum, double factor, const Vector& v) {
  for (size_t i = 0; i < v.size(); ++i) sum[i] += static_cast<float>(factor) * v[i];
}

}  // namespace

double inner(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

void normalise(Vector& v) {
  const double norm = std::sqrt(inner(v, v));
  for (float& value : v) value = static_cast<float>(value / norm);
}

Climber::Climber(Vector start, double similarity, double threshold, double flood, uint64_t seed)
    : dimension_(start.size()),
      threshold_(threshold),
      flood_(flood),
      mean_(std::move(start)),
      covariance_(dimension_ * dimension_),
      random_(seed) {
  // Isotropic off the start.
  const double off = (1 - similarity * similarity) / static_cast<double>(dimension_ - 1);
  const double on = 0.03 * 0.03 - off;
  for (size_t i = 0; i < dimension_; ++i) {
    for (size_t j = 0; j < dimension_; ++j)
      covariance_[i * dimension_ + j] = static_cast<float>(on * mean_[i] * mean_[j]);
    covariance_[i * dimension_ + i] += static_cast<float>(off);
  }
  for (float& value : mean_) value *= static_cast<float>(similarity);
}

// Across the mean, a direction in which much is uncertain: a random one, stretched by the
// covariance.
Climber::Plane Climber::draw_plane() {
  Plane plane;
  plane.length = std::sqrt(inner(mean_, mean_));
  plane.along = mean_;
  normalise(plane.along);
  plane.across = multiply(covariance_, draw_direction(dimension_, random_));
  add(plane.across, -inner(plane.across, plane.along), plane.along);
  normalise(plane.across);
  plane.spread_along = multiply(covariance_, plane.along);
  plane.spread_across = multiply(covariance_, plane.across);
  plane.aa = inner(plane.along, plane.spread_along);
  plane.ac = inner(plane.along, plane.spread_across);
  plane.cc = inner(plane.across, plane.spread_across);
  return plane;
}

double Climber::deviation(const Plane& plane, double across) const {
  const double along = std::sqrt(1 - across * across);
  const double variance =
      along * along * plane.aa + 2 * along * across * plane.ac + across * across * plane.cc;
  return std::sqrt(std::max(variance, 0.0) + flood_ * flood_);
}

Vector Climber::probe(const Plane& plane, double across) {
  Vector probe(plane.along.size());
  add(probe, std::sqrt(1 - across * across), plane.along);
  add(probe, across, plane.across);
  return probe;
}

Vector Climber::ask(double aim) {
  const Plane plane = draw_plane();
  const auto excess = [&](double across) {
    const double score = std::sqrt(1 - across * across) * plane.length;
    return (score - threshold_) / deviation(plane, across) - aim;
  };
  // The share across that is largest among those that meet the aim; else what comes nearest.
  constexpr int kSteps = 64;
  constexpr double kLargest = 0.999;
  double nearest = 0, distance = 1e9;
  for (int i = kSteps; i >= 0; --i) {
    double across = kLargest * i / kSteps;
    const double here = excess(across);
    if (std::abs(here) < distance) {
      distance = std::abs(here);
      nearest = across;
    }
    if (here < 0 || i == kSteps) continue;
    double beyond = kLargest * (i + 1) / kSteps;
    for (int halving = 0; halving < 30; ++halving) {
      const double middle = (across + beyond) / 2;
      (excess(middle) >= 0 ? across : beyond) = middle;
    }
    nearest = across;
    break;
  }
  return probe(plane, nearest);
}

Vector Climber::reach(double wanted) {
  const Plane plane = draw_plane();
  double best_across = 0, best_chance = -1e9;
  for (int i = 0; i <= 64; ++i) {
    const double across = 0.8 * i / 64;
    const double chance =
        (std::sqrt(1 - across * across) * plane.length - wanted) / deviation(plane, across);
    if (chance <= best_chance) continue;
    best_chance = chance;
    best_across = across;
  }
  return probe(plane, best_across);
}

void Climber::learn(std::span<const float> probe, bool accepted) {
  const Vector spread = multiply(covariance_, Vector(probe.begin(), probe.end()));
  const double variance = std::max(inner(probe, spread), 0.0) + flood_ * flood_;
  const double sign = accepted ? 1 : -1;
  const double z = sign * (inner(probe, mean_) - threshold_) / std::sqrt(variance);
  const double ratio = z > -8 ? density(z) / below(z) : -z;
  add(mean_, sign * ratio / std::sqrt(variance), spread);
  const double shrink = ratio * (ratio + z) / variance;
  for (size_t i = 0; i < dimension_; ++i) {
    float* row = &covariance_[i * dimension_];
    const auto factor = static_cast<float>(shrink * spread[i]);
    for (size_t j = 0; j < dimension_; ++j) row[j] -= factor * spread[j];
  }
}

Vector Climber::best() const {
  Vector best = mean_;
  normalise(best);
  return best;
}

Walker::Walker(Vector start, double similarity, double threshold, uint64_t seed)
    : start_(std::move(start)),
      uphill_(start_.size()),
      along_(std::min(threshold / similarity, 0.95)),
      random_(seed) {}

Vector Walker::ask() {
  direction_ = draw_direction(start_.size(), random_);
  Vector probe(start_.size());
  add(probe, along_, start_);
  add(probe, std::sqrt(1 - along_ * along_), direction_);
  normalise(probe);
  return probe;
}

void Walker::learn(bool accepted) {
  add(uphill_, accepted ? 1 : -1, direction_);
}

Vector Walker::best() const {
  if (inner(uphill_, uphill_) == 0) return start_;
  Vector up = uphill_;
  normalise(up);
  Vector best(start_.size());
  add(best, 0.6, start_);
  add(best, 0.8, up);
  normalise(best);
  return best;
}

}  // namespace bauta::laboratory
