#include "match/block.h"

#include <gtest/gtest.h>

#include "match/search.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

constexpr size_t kDimension = 128;

const TestTenant& tenant() {
  static const TestTenant one(kDimension, 2);
  return one;
}

TEST(Folding, IsTheSmallestThatHoldsTheCoefficient) {
  const Parameters& parameters = tenant().parameters;
  EXPECT_EQ(folding_for(parameters, 0), 4u);
  EXPECT_EQ(folding_for(parameters, 119), 4u);
  EXPECT_EQ(folding_for(parameters, 127), 4u);
  EXPECT_EQ(folding_for(parameters, 128), 8u);
  EXPECT_EQ(folding_for(parameters, 499), 16u);
  EXPECT_EQ(folding_for(parameters, 4095), 128u);
  for (const size_t dimension : {64, 512, 1024}) {
    const Parameters other = *Parameters::create(dimension);
    for (size_t coefficient = 0; coefficient < kDegree; coefficient += 61) {
      const Block block(other, folding_for(other, coefficient));
      EXPECT_LT(coefficient, block.capacity());
    }
  }
}

TEST(GaloisElements, EveryFoldingNeedsAPrefix) {
  const Parameters& parameters = tenant().parameters;
  const std::vector<uint32_t> elements = galois_elements(parameters);
  ASSERT_EQ(elements.size(), parameters.width() - 1);
  for (size_t folding = 2; folding <= parameters.width(); folding *= 2) {
    std::set<uint32_t> prefix(elements.begin(), elements.begin() + static_cast<long>(folding) - 1);
    std::set<uint32_t> needed;
    for (size_t u = 1; u < folding; ++u) needed.insert(galois_element(parameters, folding, u));
    EXPECT_EQ(prefix, needed) << folding;
  }
}

TEST(Block, ErasureLeavesNoTrace) {
  People people(kDimension);
  for (const size_t folding : {4, 8}) {
    Block held(tenant().parameters, folding);
    Block never_held(tenant().parameters, folding);
    for (const size_t coefficient : {0, 1, 77, 100}) {
      const StoredReference reference = tenant().reference(people.next());
      held.add(coefficient, reference.ciphertext);
      never_held.add(coefficient, reference.ciphertext);
    }
    const StoredReference erased = tenant().reference(people.next());
    held.add(50, erased.ciphertext);
    must(held.prepare(*tenant().keys));
    must(never_held.prepare(*tenant().keys));
    EXPECT_FALSE(held == never_held);
    held.subtract(50, erased.ciphertext);
    must(held.prepare(*tenant().keys));
    EXPECT_TRUE(held == never_held);
  }
}

TEST(Block, IsTheSameWhateverTheThreads) {
  People people(kDimension);
  ThreadPool pool(3);
  Block alone(tenant().parameters, 8);
  Block together(tenant().parameters, 8);
  const StoredReference reference = tenant().reference(people.next());
  alone.add(9, reference.ciphertext);
  together.add(9, reference.ciphertext);
  must(alone.prepare(*tenant().keys));
  must(together.prepare(*tenant().keys, &pool));
  EXPECT_TRUE(alone == together);
}

// A whole block: 4,096 references, 128 key switches on each side, one limb dropped.
TEST(Block, FullBlockScoresAreExact) {
  People people(kDimension);
  const Parameters& parameters = tenant().parameters;
  Block block(parameters, parameters.width());
  ASSERT_EQ(block.capacity(), kDegree);
  std::vector<Embedding> references;
  const Embedding probe = people.next();
  for (size_t j = 0; j < kDegree; ++j) {
    references.push_back(j % 80 == 0 ? people.next_near(probe, 0.8f) : people.next());
    block.add(j, tenant().reference(references.back()).ciphertext);
  }
  must(block.prepare(*tenant().keys));
  const ProbeImages images =
      must(make_probe_images(*tenant().keys, tenant().probe(probe), block.folding()));
  const ProbeImages* const images_pointer = &images;
  const TiledCiphertexts* const block_pointer = &block.images();
  std::vector<ckks::ProductCiphertext> products =
      scan(std::span(&images_pointer, 1), std::span(&block_pointer, 1),
           parameters.ring().ciphertext_moduli(), parameters.reference_scale());
  const size_t folding = block.folding();
  const ScannedBlock scanned{0, block.live_positions()};
  const Search search = hide_scores(*tenant().keys, std::span(products), std::span(&folding, 1),
                                    std::span(&scanned, 1));
  const ScoreErrors errors = score_errors(
      tenant(), search, probe, [&](uint64_t slot) -> const Embedding& { return references[slot]; });
  fmt::print("full block: score error rms {:.2e}, max {:.2e}\n", errors.rms, errors.max);
  EXPECT_EQ(errors.scores, kDegree);
  EXPECT_LT(errors.rms, 1.5e-5);
  EXPECT_LT(errors.max, 7e-5);
}

}  // namespace
}  // namespace bauta::match
