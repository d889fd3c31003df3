// An attacker who wants a face from yes and no: it holds a vector of some similarity to an enrolled
// template, sends probes of its choice and learns from each answer.
#pragma once

#include <random>
#include <span>
#include <vector>

namespace bauta::laboratory {

using Vector = std::vector<float>;

double inner(std::span<const float> a, std::span<const float> b);
void normalise(Vector& v);

// What the attacker believes of the template: a normal distribution, updated after every answer by
// the moments of what the answer leaves of it (assumed-density filtering, after Minka, "A family of
// algorithms for approximate Bayesian inference", 2001, for half spaces).
class Climber {
 public:
  // `start` has unit norm; its similarity to the template is believed to be `similarity` +- 0.03.
  Climber(Vector start, double similarity, double threshold, double flood, uint64_t seed);

  // A unit vector whose score is believed to lie `aim` standard deviations above what decides, as
  // uncertain as it can be: 0 is the best question, below 0 mostly misses, above 0 mostly hits.
  Vector ask(double aim);
  // The probe with the best chance of a score of `wanted`.
  Vector reach(double wanted);
  void learn(std::span<const float> probe, bool accepted);

  // Of unit norm.
  Vector best() const;

 private:
  // Two directions and what is believed of scores in their plane.
  struct Plane {
    Vector along, across;                // orthonormal; the first is the mean's
    Vector spread_along, spread_across;  // covariance times them
    double length = 0;                   // of the mean
    double aa = 0, ac = 0, cc = 0;       // variances of the two scores, and their covariance
  };
  Plane draw_plane();
  double deviation(const Plane& plane, double across) const;
  static Vector probe(const Plane& plane, double across);

  size_t dimension_;
  double threshold_, flood_;
  Vector mean_, covariance_;
  std::mt19937_64 random_;
};

// Plain hill climbing: random directions across the start, so far that the score is about what
// decides, and the sum of those that were accepted less those that were not.
class Walker {
 public:
  Walker(Vector start, double similarity, double threshold, uint64_t seed);
  Vector ask();
  void learn(bool accepted);
  Vector best() const;

 private:
  Vector start_, direction_, uphill_;
  double along_;
  std::mt19937_64 random_;
};

}  // namespace bauta::laboratory
