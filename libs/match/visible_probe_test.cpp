#include <gtest/gtest.h>

#include "match/test_tenant.h"

namespace bauta::match {
namespace {

constexpr size_t kDimension = 128;

const TestTenant& tenant() {
  static const TestTenant one(kDimension, 6);
  return one;
}

VisibleProbe visible(const Embedding& embedding) {
  return {must(encode_probe(tenant().parameters, embedding))};
}

TEST(VisibleProbe, ScoresAsASealedOneDoes) {
  for (const size_t references : {1, 120, 500}) {
    People people(kDimension, references);
    std::vector<Embedding> enrolled;
    Gallery gallery(tenant().keys, no_original);
    gallery.reserve(references);
    for (size_t slot = 0; slot < references; ++slot) {
      enrolled.push_back(people.next());
      must(gallery.insert(slot, tenant().reference(enrolled.back())));
    }
    const Embedding probe = people.next_near(enrolled.back(), 0.7f);
    const Search search = must(gallery.search(visible(probe)));
    const ScoreErrors errors = score_errors(
        tenant(), search, probe, [&](uint64_t slot) -> const Embedding& { return enrolled[slot]; });
    EXPECT_EQ(errors.scores, references);
    EXPECT_LT(errors.rms, 1.5e-5);
    EXPECT_LT(errors.max, 7e-5);
    const ScoreReader scores = tenant().read(search.request);
    EXPECT_EQ(must(search.map.slot(scores.best()->position)), references - 1);
  }
}

TEST(VisibleProbe, SearchesWholeBlocksSeveralAtATime) {
  People people(kDimension);
  std::vector<Embedding> enrolled;
  for (size_t j = 0; j < 300; ++j) enrolled.push_back(people.next());
  Gallery gallery(tenant().keys, no_original);
  must(gallery.append_block(make_block(tenant(), enrolled), first_positions(enrolled.size())));
  std::vector<VisibleProbe> probes;
  for (const size_t person : {7, 299}) probes.push_back(visible(enrolled[person]));
  const std::vector<Search> searches = must(gallery.search(probes));
  ASSERT_EQ(searches.size(), 2u);
  for (size_t p = 0; p < 2; ++p)
    EXPECT_LT(score_errors(tenant(), searches[p], enrolled[p == 0 ? 7 : 299],
                           [&](uint64_t slot) -> const Embedding& { return enrolled[slot]; })
                  .max,
              7e-5);
  const uint64_t slots[] = {42};
  const Search one = must(gallery.compare(visible(enrolled[42]), slots));
  EXPECT_NEAR(tenant().read(one.request).best()->score, 1, 1e-4);
}

TEST(VisibleProbe, ComparesOneToOne) {
  People people(kDimension);
  const Embedding enrolled = people.next();
  const Search search = must(compare_one(*tenant().keys, visible(people.next_near(enrolled, 0.6f)),
                                         77, tenant().reference(enrolled)));
  const ScoreReader scores = tenant().read(search.request);
  EXPECT_EQ(must(search.map.slot(scores.best()->position)), 77u);
  EXPECT_NEAR(scores.best()->score, 0.6, 1e-4);
}

}  // namespace
}  // namespace bauta::match
