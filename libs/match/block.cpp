#include "match/block.h"

#include <algorithm>
#include <bit>

#include "ring/automorphism.h"
#include "ring/limb_loop.h"

namespace bauta::match {
namespace {

// X^(coefficient / element), as the exponent modulo 2N.
size_t unrotated_exponent(size_t coefficient, uint32_t element) {
  return coefficient * ckks::inverse_galois_element(element, kDegree) % (2 * kDegree);
}

}  // namespace

size_t folding_for(const Parameters& parameters, size_t coefficient) {
  BAUTA_ASSERT(coefficient < kDegree);
  const size_t needed = coefficient * parameters.width() / kDegree + 1;
  return std::max(kMinFolding, std::bit_ceil(needed));
}

Block::Block(const Parameters& parameters, size_t folding)
    : parameters_(parameters), folding_(folding) {
  BAUTA_ASSERT(std::has_single_bit(folding) && folding <= parameters.width());
  const ring::Basis basis = parameters.ring().ciphertext_moduli();
  for (size_t u = 0; u < folding; ++u)
    parts_.push_back({galois_element(parameters, folding, u),
                      ring::CoefficientPolynomial::zero(basis),
                      ring::CoefficientPolynomial::zero(basis),
                      {},
                      {}});
}

LivePositions Block::live_positions() const {
  LivePositions live{};
  for (size_t j = 0; j < kDegree; ++j)
    if (live_[j]) set_live(live, j);
  return live;
}

void Block::add(size_t coefficient, const ckks::CoefficientCiphertext& reference) {
  BAUTA_ASSERT(coefficient < capacity() && !live_[coefficient]);
  for (Part& part : parts_) {
    const size_t exponent = unrotated_exponent(coefficient, part.element);
    multiply_monomial_add(part.sum0, reference.c0, exponent);
    multiply_monomial_add(part.sum1, reference.c1, exponent);
  }
  live_.set(coefficient);
  prepared_ = false;
}

void Block::subtract(size_t coefficient, const ckks::CoefficientCiphertext& reference) {
  BAUTA_ASSERT(live_[coefficient]);
  for (Part& part : parts_) {
    // X^N = -1
    const size_t exponent = unrotated_exponent(coefficient, part.element) + kDegree;
    multiply_monomial_add(part.sum0, reference.c0, exponent);
    multiply_monomial_add(part.sum1, reference.c1, exponent);
  }
  live_.reset(coefficient);
  prepared_ = false;
}

Status Block::prepare(const EvaluationKeys& keys, ThreadPool* pool) {
  if (prepared_) return {};
  BAUTA_TRY(const auto galois_keys, keys.galois_keys(folding_));
  ring::for_each_limb(parts_.size(), pool, [&](size_t u) {
    Part& part = parts_[u];
    part.image0 = to_evaluation(part.sum0.clone());
    part.image1 = to_evaluation(part.sum1.clone());
    if (u == 0) return;
    ckks::PolynomialPair pair = keys.switcher().switch_key(part.sum1, galois_keys[u]->key);
    add_in_place(part.image0, pair.u0);
    part.image0 = apply_automorphism(part.image0, part.element);
    part.image1 = apply_automorphism(pair.u1, part.element);
  });
  prepared_ = true;
  return {};
}

ckks::ProductCiphertext Block::compare(const ProbeImages& images, ThreadPool* pool) const {
  BAUTA_ASSERT(prepared_ && images.size() == folding_);
  const ring::Basis basis = parameters_.ring().ciphertext_moduli();
  const size_t m = folding_;
  ckks::ProductCiphertext product{
      ring::EvaluationPolynomial::uninitialised(basis),
      ring::EvaluationPolynomial::uninitialised(basis),
      ring::EvaluationPolynomial::uninitialised(basis),
      static_cast<double>(m) * parameters_.probe_scale() * parameters_.reference_scale(),
      images[0].key_id};
  ring::for_each_limb(basis.size(), pool, [&](size_t i) {
    // c0 then c1 of the probe, k1 then k0 of the block: the middle component is one long sum.
    std::vector<const uint32_t*> probe(2 * m), block(2 * m);
    for (size_t u = 0; u < m; ++u) {
      probe[u] = images[u].c0.limb(i).data();
      probe[m + u] = images[u].c1.limb(i).data();
      block[m + u] = parts_[u].image0.limb(i).data();
      block[u] = parts_[u].image1.limb(i).data();
    }
    const auto sum = [&](ring::EvaluationPolynomial& out, const uint32_t* const* a,
                         const uint32_t* const* b, size_t terms) {
      simd::kernels().inner_product(out.limb(i).data(), a, b, terms, kDegree, basis.constants(i));
    };
    sum(product.c0, probe.data(), block.data() + m, m);  // c0*k0
    sum(product.c1, probe.data(), block.data(), 2 * m);  // c0*k1 + c1*k0
    sum(product.c2, probe.data() + m, block.data(), m);  // c1*k1
  });
  return product;
}

bool operator==(const Block& a, const Block& b) {
  const auto equal_parts = [](const Block::Part& x, const Block::Part& y) {
    return x.element == y.element && x.sum0 == y.sum0 && x.sum1 == y.sum1 && x.image0 == y.image0 &&
           x.image1 == y.image1;
  };
  return a.live_ == b.live_ && std::ranges::equal(a.parts_, b.parts_, equal_parts);
}

}  // namespace bauta::match
