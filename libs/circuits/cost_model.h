// What operations on ciphertexts cost, counted in passes of a kernel over a limb.
#pragma once

#include "circuits/image_ring.h"

namespace bauta::circuits {

// Passes over one limb of N words.
struct Work {
  double transforms = 0;           // number-theoretic transforms, either way
  double key_products = 0;         // by a limb of a key, which comes from memory
  double conversion_products = 0;  // of a base conversion
  double factor_products = 0;      // by periodic factors, all from the cache
  double moves = 0;                // additions, products with constants, automorphisms

  Work& operator+=(const Work& other);
  friend Work operator+(Work a, const Work& b) { return a += b; }
  friend Work operator*(double times, const Work& work);
};

// Of ciphertexts of so many limbs, with the keys of the stage that serves them.
class CostModel {
 public:
  explicit CostModel(const ImageRing& ring) : ring_(ring) {}

  Work hoist(size_t limbs) const;
  Work rotate_extended(size_t limbs) const;        // of a hoisted ciphertext
  Work rotate_extended_again(size_t limbs) const;  // of a sum
  Work rotate(size_t limbs) const;
  Work square(size_t limbs) const;  // with relinearisation
  Work rescale(size_t limbs) const;
  Work reduce(size_t limbs) const;
  // Of `terms` extended ciphertexts times factors of one kind, for `outputs` sums.
  Work periodic_sums(size_t limbs, size_t terms, size_t outputs) const;
  Work full_sums(size_t limbs, size_t terms, size_t outputs) const;

  // Bytes of a key in memory, and as it travels, with its uniform half as a seed.
  size_t key_bytes(size_t limbs) const;
  size_t key_wire_bytes(size_t limbs) const;
  size_t extended_bytes(size_t limbs) const;
  // With the special moduli.
  size_t extended_limbs(size_t limbs) const { return limbs + ring_.stage(limbs).special_count; }

 private:
  size_t polynomial_bytes(size_t limbs) const;
  Work key_switch_products(size_t limbs) const;

  ImageRing ring_;
};

// Seconds of a pass, by kind.
struct PassTimes {
  double transform = 0, key_product = 0, conversion_product = 0, factor_product = 0, move = 0;
};
double seconds(const Work& work, const PassTimes& times);

// Measures each kernel on this machine, on every thread of the pool at once; the times are those
// of the whole pool. Takes about 0.2 s.
PassTimes measure_passes(const ImageRing& ring, ThreadPool& pool);

}  // namespace bauta::circuits
