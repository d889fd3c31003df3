// Every dimension of embeddings, powers of two and others: enrolment one by one, whole blocks, 1:1.
#include <gtest/gtest.h>

#include "match/test_tenant.h"

namespace bauta::match {
namespace {

class Dimension : public testing::TestWithParam<size_t> {};

TEST_P(Dimension, ScoresAreExact) {
  const TestTenant tenant(GetParam(), 7);
  People people(GetParam());
  std::vector<Embedding> enrolled;
  Gallery gallery(tenant.keys, no_original);
  // Fills the narrowest block of every width, and begins the next one.
  const size_t references = Block(tenant.parameters, kMinFolding).capacity() + 1;
  gallery.reserve(references);
  for (size_t slot = 0; slot < references; ++slot) {
    enrolled.push_back(people.next());
    must(gallery.insert(slot, tenant.reference(enrolled.back())));
  }
  const auto person = [&](uint64_t slot) -> const Embedding& { return enrolled[slot]; };
  const Embedding probe = people.next_near(enrolled.back(), 0.7f);
  const ScoreErrors errors =
      score_errors(tenant, must(gallery.search(tenant.probe(probe))), probe, person);
  EXPECT_EQ(errors.scores, references);
  EXPECT_LT(errors.rms, 1.5e-5);
  EXPECT_LT(errors.max, 7e-5);

  Gallery whole(tenant.keys, no_original);
  must(whole.append_block(make_block(tenant, enrolled), first_positions(references)));
  const ScoreErrors whole_errors =
      score_errors(tenant, must(whole.search(tenant.probe(probe))), probe, person);
  EXPECT_EQ(whole_errors.scores, references);
  EXPECT_LT(whole_errors.rms, 1.5e-5);
  EXPECT_LT(whole_errors.max, 7e-5);

  const Search one =
      must(compare_one(*tenant.keys, tenant.probe(probe), 9, tenant.reference(enrolled.back())));
  EXPECT_NEAR(tenant.read(one.request).best()->score, 0.7, 7e-5);
}

INSTANTIATE_TEST_SUITE_P(All, Dimension, testing::Values(64, 100, 128, 200, 512, 1024),
                         [](const auto& instance) { return std::to_string(instance.param); });

}  // namespace
}  // namespace bauta::match
