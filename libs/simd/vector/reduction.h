// Residue arithmetic on vectors of words. Included after the vector.h of an instruction set, by the
// .cpp files of its folder alone; everything is in an anonymous namespace.
//
// Constant time: conditional subtractions are minima, and no address depends on a residue.
#pragma once

namespace bauta::simd {
namespace {

// x - bound where x >= bound, else x; for bound <= 2^31 and x < bound + 2^31.
inline Vector subtract_if_not_below(Vector x, Vector bound) {
  return minimum(x, subtract(x, bound));
}

// A constant factor per word; `odd_quotient` is odd_words(quotient).
struct Factor {
  Vector value, quotient, odd_quotient;
};

inline Factor broadcast(ShoupFactor factor) {
  const Vector quotient = broadcast(factor.quotient);
  return {broadcast(factor.value), quotient, quotient};
}

// x * factor modulo q, in [0, 2q), for any words x.
inline Vector shoup_lazy(Vector x, const Factor& factor, Vector q) {
  const Vector even = multiply_even(x, factor.quotient);
  const Vector odd = multiply_even(odd_words(x), factor.odd_quotient);
  return subtract(multiply_low(x, factor.value), multiply_low(high_words(even, odd), q));
}

// A vector of 64-bit values: those of the even words and those of the odd ones.
struct Wide {
  Vector even, odd;
};

inline Wide multiply_wide(Vector a, Vector b) {
  return {multiply_even(a, b), multiply_even(odd_words(a), odd_words(b))};
}
inline Wide add_wide(const Wide& a, const Wide& b) {
  return {add_wide(a.even, b.even), add_wide(a.odd, b.odd)};
}

// A modulus, ready for the Barrett reduction that ModulusConstants describes.
class Reduction {
 public:
  explicit Reduction(const ModulusConstants& modulus)
      : q_(broadcast(modulus.value)),
        two_q_(broadcast(2 * modulus.value)),
        ratio_(broadcast(modulus.ratio)),
        bits_(broadcast_wide(modulus.bits)),
        high_q_(shift_left_wide(q_, 32)),
        high_two_q_(shift_left_wide(two_q_, 32)) {}

  Vector q() const { return q_; }

  // x modulo q for x < q * 2^32.
  Vector reduce(const Wide& x) const {
    const Vector even = multiply_even(shift_right_wide(x.even, bits_), ratio_);
    const Vector odd = multiply_even(shift_right_wide(x.odd, bits_), ratio_);
    const Vector quotient = even_and_odd(shift_right_wide(even, 31), shift_left_wide(odd, 1));
    const Vector remainder = subtract(low_words(x.even, x.odd), multiply_low(quotient, q_));
    return subtract_if_not_below(subtract_if_not_below(remainder, two_q_), q_);
  }

  // x modulo q for any x.
  Vector reduce_any(const Wide& x) const {
    const Vector high = reduce({shift_right_wide(x.even, 32), shift_right_wide(x.odd, 32)});
    return reduce({even_and_odd(x.even, shift_left_wide(high, 32)), even_and_odd(x.odd, high)});
  }

  // From below 4q * 2^32 to below 2q * 2^32. Only the high words change.
  Wide fold(const Wide& x) const {
    return {subtract_if_not_below(x.even, high_two_q_), subtract_if_not_below(x.odd, high_two_q_)};
  }
  // A sum of lazy_sums modulo q.
  Vector reduce_sum(Wide x, size_t terms) const {
    if (terms > 8) x = fold(x);
    if (terms > 4)
      x = {subtract_if_not_below(x.even, high_q_), subtract_if_not_below(x.odd, high_q_)};
    return reduce(x);
  }

 private:
  Vector q_, two_q_, ratio_, bits_, high_q_, high_two_q_;
};

// Adds the products of terms 0 to terms - 1 to the sums, which start at zero: add_products(t) adds
// one product, of a word below 2^30 and a residue, to each. Four of those stay below q * 2^32,
// eight below 2q * 2^32; so with a fold after every eight no sum passes 4q * 2^32 <= 2^64.
template <size_t count, typename AddProducts>
inline void lazy_sums(Wide (&sums)[count], size_t terms, const Reduction& reduction,
                      const AddProducts& add_products) {
#pragma GCC unroll 8
  for (size_t k = 0; k < count; ++k) sums[k] = {broadcast(0u), broadcast(0u)};
  for (size_t t = 0; t < terms;) {
    const size_t end = t + 8 < terms ? t + 8 : terms;
    for (; t < end; ++t) add_products(t);
    if (end == terms) break;
#pragma GCC unroll 8
    for (size_t k = 0; k < count; ++k) sums[k] = reduction.fold(sums[k]);
  }
}

}  // namespace
}  // namespace bauta::simd
