#include "match/search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "ring/automorphism.h"
#include "ring/limb_loop.h"

namespace bauta::match {
namespace {

// Adds the offset to every live coefficient and a uniform residue to every other one, for the block
// number `source` of this request.
void mask_scores(const Parameters& parameters, const ring::PublicSeed& seed, size_t source,
                 const LivePositions& live, ring::CoefficientPolynomial& scores) {
  const ring::Modulus& modulus = scores.basis().modulus(0);
  std::vector<uint32_t> masks(kDegree);
  ring::sample_uniform(seed, "bauta score masks", source, modulus, masks);
  const auto offset = static_cast<uint32_t>(std::lround(kScoreOffset * parameters.score_scale()));
  const ring::Limb limb = scores.limb(0);
  for (size_t j = 0; j < kDegree; ++j)
    limb[j] = modulus.add(limb[j], is_live(live, j) ? offset : masks[j]);
}

// The last step of both reductions.
ckks::CoefficientCiphertext to_score_scale(const Parameters& parameters,
                                           ckks::EvaluationCiphertext&& product, size_t folding) {
  const auto missing = static_cast<uint32_t>(parameters.width() / folding);
  const uint32_t factors[] = {missing, missing};
  multiply_constant_in_place(product.c0, factors);
  multiply_constant_in_place(product.c1, factors);
  const ring::Basis moduli = parameters.ring().ciphertext_moduli();
  const ring::RoundedDivision drop_limb(moduli.prefix(1), moduli.slice(1, 1));
  return {drop_limb.apply(to_coefficient(std::move(product.c0))),
          drop_limb.apply(to_coefficient(std::move(product.c1))), parameters.score_scale(),
          product.key_id};
}

// Below 2N, which is a power of two.
uint32_t rotation_of(const ring::PublicSeed& seed, size_t source) {
  std::array<uint8_t, 2> bytes;
  ring::Keystream(seed, "bauta score rotation", source).read(bytes);
  static_assert(2 * kDegree <= 0x10000 && std::has_single_bit(kDegree));
  return (bytes[0] | uint32_t{bytes[1]} << 8) % (2 * kDegree);
}

// A uniformly random permutation. The remainders of 64 random bits are uniform but for 2^-54.
std::vector<size_t> random_order(const ring::PublicSeed& seed, size_t count) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  ring::Keystream keystream(seed, "bauta score order", 0);
  for (size_t i = count - 1; i > 0; --i) {
    std::array<uint8_t, 8> bytes;
    keystream.read(bytes);
    uint64_t word = 0;
    for (size_t b = 0; b < bytes.size(); ++b) word |= uint64_t{bytes[b]} << (8 * b);
    std::swap(order[i], order[word % (i + 1)]);
  }
  return order;
}

LivePositions rotated(const LivePositions& live, size_t rotation) {
  LivePositions moved{};
  for (size_t j = 0; j < kDegree; ++j)
    if (is_live(live, j)) set_live(moved, (j + rotation) % kDegree);
  return moved;
}

}  // namespace

Result<ProbeImages> make_probe_images(const EvaluationKeys& keys, const SwitchedProbe& probe,
                                      size_t folding, ThreadPool* pool) {
  BAUTA_CHECK(ckks::check_key_id("probe", probe.ciphertext.key_id, keys.key_id()));
  BAUTA_TRY(const auto galois_keys, keys.galois_keys(folding));
  const ckks::CoefficientCiphertext& ciphertext = probe.ciphertext;
  const ckks::Decomposition digits = keys.switcher().decompose(ciphertext.c1, pool);
  ProbeImages images{TiledCiphertexts(folding), ciphertext.scale, ciphertext.key_id};
  const ring::EvaluationPolynomial c0 = to_evaluation(ciphertext.c0.clone(), pool);
  images.tiles.put(0, c0, to_evaluation(ciphertext.c1.clone(), pool));
  ring::for_each_limb(folding - 1, pool, [&](size_t index) {
    const size_t u = index + 1;
    const ckks::PolynomialPair pair = keys.switcher().switch_key(
        digits, galois_keys[u]->key, {.addend = &c0, .element = galois_keys[u]->element});
    images.tiles.put(u, pair.u0, pair.u1);
  });
  return images;
}

Result<VisibleProbeImages> make_probe_images(const EvaluationKeys& keys, const VisibleProbe& probe,
                                             size_t folding, ThreadPool* pool) {
  const Parameters& parameters = keys.parameters();
  BAUTA_ASSERT(probe.polynomial.size() == kDegree);
  const std::vector<int64_t> coefficients(probe.polynomial.span().begin(),
                                          probe.polynomial.span().end());
  const ring::EvaluationPolynomial original =
      to_evaluation(ring::from_signed(coefficients, parameters.ring().ciphertext_moduli()), pool);
  VisibleProbeImages images{TiledPolynomials(folding), parameters.probe_scale(), keys.key_id()};
  ring::for_each_limb(folding, pool, [&](size_t u) {
    images.tiles.put(u, apply_automorphism(original, galois_element(parameters, folding, u)));
  });
  return images;
}

ckks::CoefficientCiphertext reduce_product(const EvaluationKeys& keys,
                                           ckks::ProductCiphertext&& product, size_t folding) {
  const ckks::PolynomialPair pair =
      keys.switcher().switch_key(product.c2, keys.relinearization_key().key);
  add_in_place(product.c0, pair.u0);
  add_in_place(product.c1, pair.u1);
  return to_score_scale(
      keys.parameters(),
      {std::move(product.c0), std::move(product.c1), product.scale, product.key_id}, folding);
}

ckks::CoefficientCiphertext reduce_product(const EvaluationKeys& keys,
                                           ckks::EvaluationCiphertext&& product, size_t folding) {
  return to_score_scale(keys.parameters(), std::move(product), folding);
}

template <typename Product>
Search hide_scores(const EvaluationKeys& keys, std::span<Product> products,
                   std::span<const size_t> foldings, std::span<const ScannedBlock> blocks,
                   ThreadPool* pool, const ring::PublicSeed& seed) {
  BAUTA_ASSERT(!blocks.empty() && products.size() == blocks.size() &&
               foldings.size() == blocks.size());
  const std::vector<size_t> order = random_order(seed, blocks.size());

  ScoreRequest request{.key_id = keys.key_id(), .blocks = {}};
  request.blocks.resize(blocks.size());
  std::vector<ScoreMap::Block> map(blocks.size());
  ring::for_each_limb(order.size(), pool, [&](size_t i) {
    const size_t source = order[i];
    ckks::CoefficientCiphertext scores =
        reduce_product(keys, std::move(products[source]), foldings[source]);
    mask_scores(keys.parameters(), seed, source, blocks[source].live, scores.c0);
    const uint32_t rotation = rotation_of(seed, source);
    const LivePositions moved = rotated(blocks[source].live, rotation);
    request.blocks[i] = {{multiply_monomial(scores.c0, rotation),
                          multiply_monomial(scores.c1, rotation), scores.scale, scores.key_id},
                         moved};
    map[i] = {blocks[source].first_slot, rotation, moved};
  });
  return {std::move(request), ScoreMap(std::move(map))};
}

template Search hide_scores(const EvaluationKeys&, std::span<ckks::ProductCiphertext>,
                            std::span<const size_t>, std::span<const ScannedBlock>, ThreadPool*,
                            const ring::PublicSeed&);
template Search hide_scores(const EvaluationKeys&, std::span<ckks::EvaluationCiphertext>,
                            std::span<const size_t>, std::span<const ScannedBlock>, ThreadPool*,
                            const ring::PublicSeed&);

}  // namespace bauta::match
