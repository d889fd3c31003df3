#include "match/search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "ring/automorphism.h"
#include "ring/limb_loop.h"

namespace bauta::match {
namespace {

// Adds the offset to every live coefficient and a fresh uniform residue to every other one.
void mask_scores(const Parameters& parameters, const LivePositions& live,
                 ring::CoefficientPolynomial& scores) {
  const ring::Modulus& modulus = scores.basis().modulus(0);
  std::vector<uint32_t> masks(kDegree);
  ring::sample_uniform(ring::fresh_public_seed(), "bauta score masks", 0, modulus, masks);
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
                   ThreadPool* pool) {
  BAUTA_ASSERT(!blocks.empty() && products.size() == blocks.size() &&
               foldings.size() == blocks.size());
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[random_below(i + 1)]);

  ScoreRequest request{.key_id = keys.key_id(), .blocks = {}};
  request.blocks.resize(blocks.size());
  std::vector<ScoreMap::Block> map(blocks.size());
  ring::for_each_limb(order.size(), pool, [&](size_t i) {
    const size_t source = order[i];
    ckks::CoefficientCiphertext scores =
        reduce_product(keys, std::move(products[source]), foldings[source]);
    mask_scores(keys.parameters(), blocks[source].live, scores.c0);
    const auto rotation = static_cast<uint32_t>(random_below(2 * kDegree));
    const LivePositions moved = rotated(blocks[source].live, rotation);
    request.blocks[i] = {{multiply_monomial(scores.c0, rotation),
                          multiply_monomial(scores.c1, rotation), scores.scale, scores.key_id},
                         moved};
    map[i] = {blocks[source].first_slot, rotation, moved};
  });
  return {std::move(request), ScoreMap(std::move(map))};
}

template Search hide_scores(const EvaluationKeys&, std::span<ckks::ProductCiphertext>,
                            std::span<const size_t>, std::span<const ScannedBlock>, ThreadPool*);
template Search hide_scores(const EvaluationKeys&, std::span<ckks::EvaluationCiphertext>,
                            std::span<const size_t>, std::span<const ScannedBlock>, ThreadPool*);

}  // namespace bauta::match
