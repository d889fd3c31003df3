#include "match/scan.h"

#include <algorithm>

#include "simd/kernels.h"

namespace bauta::match {

std::vector<ckks::ProductCiphertext> scan(std::span<const ProbeImages* const> probes,
                                          std::span<const TiledCiphertexts* const> blocks,
                                          const ring::Basis& basis, double reference_scale,
                                          ThreadPool* pool) {
  std::vector<ckks::ProductCiphertext> products;
  for (const ProbeImages* probe : probes)
    for (const TiledCiphertexts* block : blocks) {
      BAUTA_ASSERT(probe->tiles.count() == block->count());
      products.push_back({ring::EvaluationPolynomial::uninitialised(basis),
                          ring::EvaluationPolynomial::uninitialised(basis),
                          ring::EvaluationPolynomial::uninitialised(basis),
                          static_cast<double>(block->count()) * probe->scale * reference_scale,
                          probe->key_id});
    }
  const auto multiply_tile = [&](size_t slice, size_t limb, size_t probe, size_t block) {
    uint32_t sums[3 * simd::kTileWords];
    simd::kernels().tensor_tile(sums, probes[probe]->tiles.tile(slice, limb),
                                blocks[block]->tile(slice, limb), blocks[block]->count(),
                                basis.constants(limb));
    ckks::ProductCiphertext& product = products[probe * blocks.size() + block];
    const size_t place = slice * simd::kTileWords;
    std::copy_n(sums, simd::kTileWords, product.c0.limb(limb).data() + place);
    std::copy_n(sums + simd::kTileWords, simd::kTileWords, product.c1.limb(limb).data() + place);
    std::copy_n(sums + 2 * simd::kTileWords, simd::kTileWords,
                product.c2.limb(limb).data() + place);
  };
  // A slice of the probes stays in the first-level cache while that slice of all blocks streams by.
  const auto scan_slices = [&](size_t begin, size_t end) {
    for (size_t slice = begin; slice < end; ++slice)
      for (size_t block = 0; block < blocks.size(); ++block)
        for (size_t limb = 0; limb < kLimbs; ++limb)
          for (size_t probe = 0; probe < probes.size(); ++probe)
            multiply_tile(slice, limb, probe, block);
  };
  if (pool == nullptr)
    scan_slices(0, kSlices);
  else
    pool->parallel_for(kSlices, scan_slices);
  return products;
}

}  // namespace bauta::match
