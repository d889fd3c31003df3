#include "match/bulk.h"

#include <gtest/gtest.h>

#include "match/search.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

const TestTenant& tenant() {
  static const TestTenant one(64, 5);
  return one;
}

std::vector<float> rows_of(const std::vector<Embedding>& embeddings) {
  std::vector<float> rows;
  for (const Embedding& embedding : embeddings)
    rows.insert(rows.end(), embedding.begin(), embedding.end());
  return rows;
}

std::vector<Embedding> some_people(size_t count) {
  People people(tenant().parameters.dimension());
  std::vector<Embedding> embeddings;
  for (size_t i = 0; i < count; ++i) embeddings.push_back(people.next());
  return embeddings;
}

TEST(BulkBlock, ScoresAsReferencesEnrolledOneByOne) {
  const Parameters& parameters = tenant().parameters;
  const std::vector<Embedding> embeddings = some_people(300);
  const BulkBlock bulk = must(BulkBlock::create(parameters, rows_of(embeddings)));
  ASSERT_EQ(bulk.references(), embeddings.size());
  TiledCiphertexts images(parameters.width());
  for (size_t u = 0; u < parameters.width(); ++u) {
    const TemplatePolynomial message = must(bulk.encode(u));
    const ckks::EvaluationCiphertext image =
        to_evaluation(must(tenant().keys->switch_to_tenant(must(secret::encrypt(
            tenant().edge, message.span(), kLimbs, parameters.reference_scale())))));
    images.put(u, image.c0, image.c1);
  }
  std::bitset<kDegree> live;
  for (size_t j = 0; j < embeddings.size(); ++j) live.set(j);
  Gallery gallery(tenant().keys, [](uint64_t) -> Result<StoredReference> {
    return make_error(ErrorCode::not_found, "bulk references have no original");
  });
  must(gallery.append_block(std::move(images), live));

  // Two probes in one pass.
  std::vector<SwitchedProbe> probes;
  for (const size_t person : {7, 299}) probes.push_back(tenant().probe(embeddings[person]));
  const std::vector<Search> searches = must(gallery.search(probes));
  ASSERT_EQ(searches.size(), 2u);
  for (size_t p = 0; p < 2; ++p) {
    const std::vector<uint32_t> residues = tenant().decrypt(searches[p].request.blocks[0]);
    for (uint32_t j = 0; j < kDegree; ++j) {
      if (!is_live(searches[p].request.blocks[0].live, j)) continue;
      const uint64_t slot = must(searches[p].map.slot({0, j}));
      EXPECT_NEAR(decode_score(parameters, residues[j]),
                  People::inner_product(embeddings[p == 0 ? 7 : 299], embeddings[slot]), 7e-5);
    }
  }
}

TEST(BulkBlock, RefusesWhatIsNoSetOfEmbeddings) {
  const Parameters& parameters = tenant().parameters;
  std::vector<float> rows = rows_of(some_people(3));
  EXPECT_FALSE(BulkBlock::create(parameters, {}).ok());
  EXPECT_FALSE(BulkBlock::create(parameters, std::span(rows).first(100)).ok());
  rows[64] = std::nanf("");
  const auto result = BulkBlock::create(parameters, rows);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("row 1"), std::string::npos) << result.error().message;
  EXPECT_FALSE(
      BulkBlock::create(parameters, std::vector<float>((kDegree + 1) * parameters.dimension()))
          .ok());
}

}  // namespace
}  // namespace bauta::match
