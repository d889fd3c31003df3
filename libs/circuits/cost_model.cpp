#include "circuits/cost_model.h"

#include <algorithm>
#include <chrono>

#include "ring/automorphism.h"

namespace bauta::circuits {

Work& Work::operator+=(const Work& other) {
  transforms += other.transforms;
  key_products += other.key_products;
  conversion_products += other.conversion_products;
  factor_products += other.factor_products;
  moves += other.moves;
  return *this;
}

Work operator*(double times, const Work& work) {
  return {times * work.transforms, times * work.key_products, times * work.conversion_products,
          times * work.factor_products, times * work.moves};
}

double seconds(const Work& work, const PassTimes& times) {
  return work.transforms * times.transform + work.key_products * times.key_product +
         work.conversion_products * times.conversion_product +
         work.factor_products * times.factor_product + work.moves * times.move;
}

// Digits are made from coefficients: one transform back for every limb, one forth for all that a
// digit does not hold.
Work CostModel::hoist(size_t limbs) const {
  const ckks::KeySwitchShape shape = ring_.stage(limbs).at(limbs);
  const size_t extended = limbs + shape.special_count;
  Work work{.transforms = static_cast<double>(limbs)};
  for (size_t begin = 0; begin < limbs; begin += shape.digit_limbs) {
    const size_t own = std::min(shape.digit_limbs, limbs - begin);
    work.transforms += static_cast<double>(extended - own);
    work.conversion_products += static_cast<double>((own + 1) * (extended - own));
  }
  return work;
}

Work CostModel::key_switch_products(size_t limbs) const {
  const ckks::KeySwitchShape shape = ring_.stage(limbs).at(limbs);
  const auto extended = static_cast<double>(limbs + shape.special_count);
  return {.key_products = 2 * static_cast<double>(shape.digits()) * extended};
}

Work CostModel::rotate_extended(size_t limbs) const {
  const auto extended = static_cast<double>(extended_limbs(limbs));
  return key_switch_products(limbs) + Work{.moves = 2 * extended + 2 * static_cast<double>(limbs)};
}

Work CostModel::rotate_extended_again(size_t limbs) const {
  const auto extended = static_cast<double>(extended_limbs(limbs));
  return 0.5 * reduce(limbs) + hoist(limbs) + key_switch_products(limbs) +
         Work{.moves = 5 * extended};
}

Work CostModel::rotate(size_t limbs) const {
  return hoist(limbs) + key_switch_products(limbs) + reduce(limbs) +
         Work{.moves = 3 * static_cast<double>(limbs)};
}

Work CostModel::reduce(size_t limbs) const {
  const auto kept = static_cast<double>(limbs);
  const auto dropped = static_cast<double>(ring_.stage(limbs).special_count);
  return {.transforms = 2 * (kept + dropped),
          .conversion_products = 2 * kept * (dropped + 1),
          .moves = 2 * kept};
}

Work CostModel::square(size_t limbs) const {
  return hoist(limbs) + key_switch_products(limbs) + reduce(limbs) +
         Work{.moves = 7 * static_cast<double>(limbs)};
}

Work CostModel::rescale(size_t limbs) const {
  const auto kept = static_cast<double>(limbs - 1);
  return {.transforms = 2 * (kept + 1), .moves = 4 * kept};
}

Work CostModel::periodic_sums(size_t limbs, size_t terms, size_t outputs) const {
  const auto extended = static_cast<double>(extended_limbs(limbs));
  return {.factor_products = 2 * extended * static_cast<double>(terms * outputs)};
}

Work CostModel::full_sums(size_t limbs, size_t terms, size_t outputs) const {
  const auto extended = static_cast<double>(extended_limbs(limbs));
  return {.key_products = 2 * extended * static_cast<double>(terms * outputs)};
}

// Of a polynomial of so many limbs, on huge pages where it is large (ring/word_storage.h).
size_t CostModel::polynomial_bytes(size_t limbs) const {
  constexpr size_t kHugePageBytes = size_t{2} << 20;
  const size_t bytes = limbs * ring_.parameters().degree() * sizeof(uint32_t);
  return bytes < kHugePageBytes ? bytes
                                : (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

size_t CostModel::key_bytes(size_t limbs) const {
  const ckks::KeySwitchShape& shape = ring_.stage(limbs);
  return 2 * shape.digits() * polynomial_bytes(shape.limbs + shape.special_count);
}

size_t CostModel::key_wire_bytes(size_t limbs) const {
  return ckks::galois_key_bytes(ring_.parameters(), ring_.stage(limbs));
}

size_t CostModel::extended_bytes(size_t limbs) const {
  return 2 * polynomial_bytes(extended_limbs(limbs));
}

namespace {

// Seconds of one pass when all threads make passes at once, divided by the threads: the median of
// some runs of body(thread number, pass number).
template <typename Body>
double measure(ThreadPool& pool, size_t passes, const Body& body) {
  constexpr size_t kRuns = 5;
  std::vector<double> times;
  for (size_t run = 0; run <= kRuns; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(pool.size(), [&](size_t begin, size_t end) {
      for (size_t thread = begin; thread < end; ++thread)
        for (size_t pass = 0; pass < passes; ++pass) body(thread, pass);
    });
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (run > 0) times.push_back(taken.count() / static_cast<double>(passes * pool.size()));
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

}  // namespace

PassTimes measure_passes(const ImageRing& ring, ThreadPool& pool) {
  const ring::Basis basis = ring.parameters().ciphertext_moduli();
  const size_t degree = basis.degree();
  const simd::ModulusConstants& modulus = basis.constants(0);
  const simd::Kernels& kernels = simd::kernels();
  // A thread's limbs: few are used again and again, as in the cache; all in turn, as from memory.
  constexpr size_t kFew = 16, kAll = 256, kTerms = 48, kOutputs = 16, kBlock = 64;
  const size_t stride = degree + 16;
  std::vector<ring::WordStorage> storage;
  for (size_t thread = 0; thread < pool.size(); ++thread) {
    storage.emplace_back(kAll * stride);
    std::fill_n(storage.back().data(), storage.back().size(), 12345u);
  }
  const auto limb = [&](size_t thread, size_t i) {
    return storage[thread].data() + i % kAll * stride;
  };
  const std::vector<uint32_t> weights(degree / kBlock * kTerms * kOutputs, 54321u);
  const ring::Automorphism& turn = ring::Automorphism::get(basis.log_degree(), 5);

  PassTimes times;
  times.transform = measure(pool, 8, [&](size_t thread, size_t pass) {
    basis.ntt(0).forward({limb(thread, pass % kFew), degree});
  });
  times.conversion_product =
      measure(pool, 2,
              [&](size_t thread, size_t) {
                std::vector<const uint32_t*> terms;
                for (size_t t = 1; t <= 8; ++t) terms.push_back(limb(thread, t));
                kernels.weighted_sum(limb(thread, 0), terms.data(), weights.data(), terms.size(),
                                     degree, modulus);
              }) /
      8;
  times.move = measure(pool, 32, [&](size_t thread, size_t pass) {
    turn.apply_evaluation({limb(thread, 3 * pass), degree}, {limb(thread, 3 * pass + 1), degree});
  });
  // Two digits: four products for a pair of limbs.
  times.key_product =
      measure(pool, 48,
              [&](size_t thread, size_t pass) {
                const size_t key = kFew + 4 * pass;
                const uint32_t* digits[] = {limb(thread, 2), limb(thread, 3)};
                const uint32_t* b[] = {limb(thread, key), limb(thread, key + 1)};
                const uint32_t* a[] = {limb(thread, key + 2), limb(thread, key + 3)};
                kernels.inner_product_pair(limb(thread, 0), limb(thread, 1), digits, b, a, 2,
                                           degree, modulus);
              }) /
      4;
  times.factor_product =
      measure(pool, 2,
              [&](size_t thread, size_t) {
                std::vector<uint32_t*> out(kOutputs);
                std::vector<const uint32_t*> terms(kTerms);
                for (size_t block = 0; block < degree / kBlock; ++block) {
                  const size_t begin = block * kBlock;
                  for (size_t o = 0; o < kOutputs; ++o) out[o] = limb(thread, o) + begin;
                  for (size_t t = 0; t < kTerms; ++t) terms[t] = limb(thread, kFew + t) + begin;
                  kernels.weighted_sums(out.data(), terms.data(),
                                        weights.data() + block * kTerms * kOutputs, kOutputs,
                                        kTerms, kBlock, modulus);
                }
              }) /
      (kTerms * kOutputs);
  return times;
}

}  // namespace bauta::circuits
