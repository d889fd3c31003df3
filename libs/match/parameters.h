// The gallery ring and the shape of the templates in it (docs/formats/gallery.md).
#pragma once

#include "ckks/parameters.h"

namespace bauta::match {

// Ring degree N of every gallery, and so the references one full block holds.
constexpr size_t kDegree = 4096;
constexpr size_t kMaxDimension = 1024;

// Scores travel as |score| + this, so that the sign, which a random power of X flips, says nothing.
constexpr double kScoreOffset = 0.9;
// Beyond this no cosine similarity with its noise can lie.
constexpr double kPlausibleScore = 1.02;

// A template of dimension d is a polynomial in Y = X^(N/r), where the width r is the power of two
// at or above d (at least 64). Probe and reference scales Dq, Dk fulfil r*Dq*Dk <= 2^58, so that a
// product of unit vectors stays inside the modulus:
//
//     r     64    128    256    512   1024
//     Dq  2^26   2^26   2^25   2^25   2^24
//     Dk  2^26   2^25   2^25   2^24   2^24
//
// Immutable and cheap to copy.
class Parameters {
 public:
  // Error invalid_argument: dimension 0 or above kMaxDimension.
  static Result<Parameters> create(size_t dimension);

  const ckks::Parameters& ring() const { return ring_; }
  size_t dimension() const { return dimension_; }
  size_t width() const { return width_; }
  size_t stride() const { return kDegree / width_; }
  double probe_scale() const { return probe_scale_; }
  double reference_scale() const { return reference_scale_; }
  // Score coefficients decrypt to score * score_scale() modulo q0: r*Dq*Dk/q1, after a limb was
  // dropped. Every folding is brought to this one scale.
  double score_scale() const;
  // Of everything above; stands in every probe, reference and score request.
  const Digest& digest() const { return digest_; }

  friend bool operator==(const Parameters& a, const Parameters& b) {
    return a.digest_ == b.digest_;
  }

 private:
  explicit Parameters(ckks::Parameters ring) : ring_(std::move(ring)) {}

  ckks::Parameters ring_;
  size_t dimension_ = 0, width_ = 0;
  double probe_scale_ = 0, reference_scale_ = 0;
  Digest digest_{};
};

}  // namespace bauta::match
