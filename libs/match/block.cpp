#include "match/block.h"

#include <algorithm>
#include <bit>

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
    sums_.push_back(
        {ring::CoefficientPolynomial::zero(basis), ring::CoefficientPolynomial::zero(basis)});
}

Block::Block(const Parameters& parameters, TiledCiphertexts images,
             const std::bitset<kDegree>& live, SharedWords sums)
    : parameters_(parameters),
      folding_(images.count()),
      made_whole_(sums.owner == nullptr),
      live_(live),
      stored_sums_(std::move(sums)),
      images_(std::move(images)),
      prepared_(true) {
  BAUTA_ASSERT(std::has_single_bit(folding_) && folding_ <= parameters.width());
  BAUTA_ASSERT(made_whole_ || stored_sums_.words.size() == folding_ * 2 * kLimbs * kDegree);
}

LivePositions Block::live_positions() const {
  LivePositions live{};
  for (size_t j = 0; j < kDegree; ++j)
    if (live_[j]) set_live(live, j);
  return live;
}

void Block::retire(size_t coefficient) {
  BAUTA_ASSERT(live_[coefficient]);
  live_.reset(coefficient);
  retired_.set(coefficient);
}

void Block::add(size_t coefficient, const ckks::CoefficientCiphertext& reference) {
  BAUTA_ASSERT(open() && coefficient < capacity() && !live_[coefficient] && !retired_[coefficient]);
  for (size_t u = 0; u < folding_; ++u) add_to_sum(u, coefficient, reference);
  live_.set(coefficient);
  prepared_ = false;
}

void Block::subtract(size_t coefficient, const ckks::CoefficientCiphertext& reference) {
  BAUTA_ASSERT(open() && (live_[coefficient] || retired_[coefficient]));
  // X^N = -1, and so is its power 1/g_u.
  for (size_t u = 0; u < folding_; ++u) add_to_sum(u, coefficient + kDegree, reference);
  live_.reset(coefficient);
  retired_.reset(coefficient);
  prepared_ = false;
}

void Block::add(std::span<const Placed> references, ThreadPool* pool) {
  for (const Placed& placed : references) {
    BAUTA_ASSERT(open() && placed.coefficient < capacity() && !live_[placed.coefficient] &&
                 !retired_[placed.coefficient]);
    live_.set(placed.coefficient);
  }
  ring::for_each_limb(folding_, pool, [&](size_t u) {
    for (const Placed& placed : references) add_to_sum(u, placed.coefficient, *placed.reference);
  });
  prepared_ = false;
}

void Block::add_to_sum(size_t u, size_t exponent, const ckks::CoefficientCiphertext& reference) {
  const size_t unrotated = unrotated_exponent(exponent, galois_element(parameters_, folding_, u));
  multiply_monomial_add(sums_[u].c0, reference.c0, unrotated);
  multiply_monomial_add(sums_[u].c1, reference.c1, unrotated);
}

Status Block::prepare(const EvaluationKeys& keys, ThreadPool* pool) {
  if (prepared_) return {};
  BAUTA_TRY(const auto galois_keys, keys.galois_keys(folding_));
  if (images_.count() == 0 || images_.shared()) images_ = TiledCiphertexts(folding_);
  ring::for_each_limb(folding_, pool, [&](size_t u) {
    const ring::EvaluationPolynomial image0 = to_evaluation(sums_[u].c0.clone());
    if (u == 0) {
      images_.put(u, image0, to_evaluation(sums_[u].c1.clone()));
      return;
    }
    const ckks::PolynomialPair pair = keys.switcher().switch_key(
        sums_[u].c1, galois_keys[u]->key, {.addend = &image0, .element = galois_keys[u]->element});
    images_.put(u, pair.u0, pair.u1);
  });
  prepared_ = true;
  return {};
}

void Block::seal() {
  BAUTA_ASSERT(prepared_);
  sums_.clear();
  sums_.shrink_to_fit();
}

bool Block::reopen() {
  BAUTA_ASSERT(!open());
  if (stored_sums_.owner == nullptr) return false;
  const ring::Basis basis = parameters_.ring().ciphertext_moduli();
  const uint32_t* source = stored_sums_.words.data();
  const auto read = [&] {
    ring::CoefficientPolynomial polynomial = ring::CoefficientPolynomial::uninitialised(basis);
    for (size_t limb = 0; limb < kLimbs; ++limb, source += kDegree)
      std::copy_n(source, kDegree, polynomial.limb(limb).data());
    return polynomial;
  };
  for (size_t u = 0; u < folding_; ++u) {
    ring::CoefficientPolynomial c0 = read();
    sums_.push_back({std::move(c0), read()});
  }
  stored_sums_ = {};  // the sums may change from now on
  return true;
}

std::vector<std::span<const uint32_t>> Block::sums() const {
  BAUTA_ASSERT(open());
  std::vector<std::span<const uint32_t>> words;
  for (const Sum& sum : sums_) {
    words.push_back(sum.c0.words());
    words.push_back(sum.c1.words());
  }
  return words;
}

const TiledCiphertexts& Block::images() const {
  BAUTA_ASSERT(prepared_);
  return images_;
}

size_t Block::memory_bytes() const {
  return (images_.shared() ? 0 : images_.size_bytes()) +
         sums_.size() * 2 * kLimbs * kDegree * sizeof(uint32_t);
}

bool operator==(const Block& a, const Block& b) {
  const auto equal_sums = [](const Block::Sum& x, const Block::Sum& y) {
    return x.c0 == y.c0 && x.c1 == y.c1;
  };
  return a.live_ == b.live_ && a.retired_ == b.retired_ &&
         std::ranges::equal(a.sums_, b.sums_, equal_sums) && a.images_ == b.images_;
}

}  // namespace bauta::match
