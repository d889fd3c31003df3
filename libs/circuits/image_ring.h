// The ring in which networks run, and the shapes of its keys.
#pragma once

#include "ckks/key_set.h"
#include "match/parameters.h"

namespace bauta::circuits {

inline constexpr size_t kImageDegree = 32768;
// Of a template, when it leaves for the gallery's ring.
inline constexpr size_t kBaseLimbs = 2;
// Of a network's result, which is yet to be brought to length one.
inline constexpr size_t kResultLimbs = kBaseLimbs + 1;
// Of the ciphertext that the last layer, the linear one, starts from.
inline constexpr size_t kLinearLimbs = kResultLimbs + 1;

// RNS-CKKS for a given number of multiplicative levels: the gallery's two primes, a prime near 2^29
// for each level, and as many special primes below 2^30 as key switching in as few digits as
// security allows wants. Follows from the number of levels alone, and so does the secret's purpose:
// another set of moduli is another secret.
//
// Immutable and cheap to copy.
class ImageRing {
 public:
  // Error invalid_argument: no level, or more than security allows at this degree.
  static Result<ImageRing> create(size_t levels, size_t degree = kImageDegree);
  // For tests: small, and without security.
  static Result<ImageRing> insecure_create(size_t levels, size_t degree);

  const ckks::Parameters& parameters() const { return parameters_; }
  size_t levels() const { return parameters_.primes().size() - kBaseLimbs; }
  // Of a fresh ciphertext.
  size_t limbs() const { return parameters_.primes().size(); }
  // With keys for ciphertexts of fewer limbs as well, at those of the given numbers of limbs where
  // such keys make rotations much cheaper.
  ImageRing with_stages(const std::set<size_t>& limbs) const;

  // By limbs, most first: for ciphertexts of all limbs, and narrow ones for the many rotations of
  // the last layer.
  const std::vector<ckks::KeySwitchShape>& stages() const { return stages_; }
  // The narrowest that serves ciphertexts of `limbs`.
  const ckks::KeySwitchShape& stage(size_t limbs) const;

 private:
  ImageRing(const ckks::Parameters& parameters, std::vector<ckks::KeySwitchShape> stages)
      : parameters_(parameters), stages_(std::move(stages)) {}
  static Result<ImageRing> build(size_t levels, size_t degree, bool insecure);

  ckks::Parameters parameters_;
  std::vector<ckks::KeySwitchShape> stages_;
};

}  // namespace bauta::circuits
