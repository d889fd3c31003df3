#include "match/scan.h"

#include <algorithm>

#include "simd/kernels.h"

namespace bauta::match {
namespace {

// What a scan reads after this tile; after the last one, anything.
const uint32_t* next_tile(std::span<const TiledCiphertexts* const> blocks, size_t slice,
                          size_t limb, size_t block) {
  if (limb + 1 < kLimbs) return blocks[block]->tile(slice, limb + 1);
  if (block + 1 < blocks.size()) return blocks[block + 1]->tile(slice, 0);
  return blocks[0]->tile((slice + 1) % kSlices, 0);
}

ckks::ProductCiphertext uninitialised_product(const ProbeImages& probe, const ring::Basis& basis) {
  using ring::EvaluationPolynomial;
  return {EvaluationPolynomial::uninitialised(basis), EvaluationPolynomial::uninitialised(basis),
          EvaluationPolynomial::uninitialised(basis), probe.scale, probe.key_id};
}

ckks::EvaluationCiphertext uninitialised_product(const VisibleProbeImages& probe,
                                                 const ring::Basis& basis) {
  using ring::EvaluationPolynomial;
  return {EvaluationPolynomial::uninitialised(basis), EvaluationPolynomial::uninitialised(basis),
          probe.scale, probe.key_id};
}

void multiply_tile(ckks::ProductCiphertext& product, const ProbeImages& probe, size_t slice,
                   size_t limb, const TiledCiphertexts& block, const uint32_t* next) {
  uint32_t sums[3 * simd::kTileWords];
  simd::kernels().tensor_tile(sums, probe.tiles.tile(slice, limb), block.tile(slice, limb), next,
                              block.count(), product.c0.basis().constants(limb));
  const size_t place = slice * simd::kTileWords;
  std::copy_n(sums, simd::kTileWords, product.c0.limb(limb).data() + place);
  std::copy_n(sums + simd::kTileWords, simd::kTileWords, product.c1.limb(limb).data() + place);
  std::copy_n(sums + 2 * simd::kTileWords, simd::kTileWords, product.c2.limb(limb).data() + place);
}

void multiply_tile(ckks::EvaluationCiphertext& product, const VisibleProbeImages& probe,
                   size_t slice, size_t limb, const TiledCiphertexts& block, const uint32_t* next) {
  uint32_t sums[2 * simd::kTileWords];
  simd::kernels().plain_tile(sums, probe.tiles.tile(slice, limb), block.tile(slice, limb), next,
                             block.count(), product.c0.basis().constants(limb));
  const size_t place = slice * simd::kTileWords;
  std::copy_n(sums, simd::kTileWords, product.c0.limb(limb).data() + place);
  std::copy_n(sums + simd::kTileWords, simd::kTileWords, product.c1.limb(limb).data() + place);
}

}  // namespace

template <typename Images>
std::vector<typename Images::Product> scan(std::span<const Images* const> probes,
                                           std::span<const TiledCiphertexts* const> blocks,
                                           const ring::Basis& basis, double reference_scale,
                                           ThreadPool* pool) {
  std::vector<typename Images::Product> products;
  for (const Images* probe : probes)
    for (const TiledCiphertexts* block : blocks) {
      BAUTA_ASSERT(probe->tiles.count() == block->count());
      products.push_back(uninitialised_product(*probe, basis));
      products.back().scale *= static_cast<double>(block->count()) * reference_scale;
    }
  // A slice of the probes stays in the cache while that slice of all blocks streams by.
  const auto scan_slices = [&](size_t begin, size_t end) {
    for (size_t slice = begin; slice < end; ++slice)
      for (size_t block = 0; block < blocks.size(); ++block)
        for (size_t limb = 0; limb < kLimbs; ++limb)
          for (size_t probe = 0; probe < probes.size(); ++probe)
            multiply_tile(products[probe * blocks.size() + block], *probes[probe], slice, limb,
                          *blocks[block], next_tile(blocks, slice, limb, block));
  };
  if (pool == nullptr)
    scan_slices(0, kSlices);
  else
    pool->parallel_for(kSlices, scan_slices);
  return products;
}

template std::vector<ckks::ProductCiphertext> scan(std::span<const ProbeImages* const>,
                                                   std::span<const TiledCiphertexts* const>,
                                                   const ring::Basis&, double, ThreadPool*);
template std::vector<ckks::EvaluationCiphertext> scan(std::span<const VisibleProbeImages* const>,
                                                      std::span<const TiledCiphertexts* const>,
                                                      const ring::Basis&, double, ThreadPool*);

}  // namespace bauta::match
