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
  const std::vector<Embedding> embeddings = some_people(300);
  Gallery gallery(tenant().keys, no_original);
  must(gallery.append_block(make_block(tenant(), embeddings), first_positions(embeddings.size())));

  // Two probes in one pass.
  std::vector<SwitchedProbe> probes;
  for (const size_t person : {7, 299}) probes.push_back(tenant().probe(embeddings[person]));
  const std::vector<Search> searches = must(gallery.search(probes));
  ASSERT_EQ(searches.size(), 2u);
  for (size_t p = 0; p < 2; ++p) {
    const ScoreErrors errors =
        score_errors(tenant(), searches[p], embeddings[p == 0 ? 7 : 299],
                     [&](uint64_t slot) -> const Embedding& { return embeddings[slot]; });
    EXPECT_EQ(errors.scores, embeddings.size());
    EXPECT_LT(errors.max, 7e-5);
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
