#include "ring/sampler.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "ring/test_bases.h"

namespace bauta::ring {
namespace {

PublicSeed counting_seed() {
  PublicSeed seed;
  for (size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<uint8_t>(i);
  return seed;
}

template <typename Values>
std::pair<double, double> mean_and_variance(const Values& values) {
  double sum = 0, squares = 0;
  for (double value : values) sum += value, squares += value * value;
  const double count = static_cast<double>(values.size());
  return {sum / count, squares / count - sum / count * (sum / count)};
}

TEST(SampleUniform, IsAFunctionOfSeedPurposeIndexAndModulus) {
  const Basis basis = gallery_basis();
  const auto seed = counting_seed();
  const auto sample = [&](std::string_view purpose, uint64_t index, const Basis& over) {
    return sample_uniform<Form::evaluation>(seed, purpose, index, over);
  };
  const auto first = sample("a", 0, basis);
  EXPECT_EQ(sample("a", 0, basis), first);
  EXPECT_FALSE(sample("b", 0, basis) == first);
  EXPECT_FALSE(sample("a", 1, basis) == first);
  auto other_seed = seed;
  other_seed[31] ^= 1;
  EXPECT_FALSE(sample_uniform<Form::evaluation>(other_seed, "a", 0, basis) == first);
  // A prefix and a slice of the basis give the same residues.
  auto prefix = first.clone();
  prefix.keep_limbs(1);
  EXPECT_EQ(sample("a", 0, basis.prefix(1)), prefix);
  const auto slice = sample("a", 0, basis.slice(2, 1));
  EXPECT_TRUE(std::equal(slice.limb(0).begin(), slice.limb(0).end(), first.limb(2).begin()));
}

TEST(SampleUniform, CoversTheRangeEvenly) {
  for (uint32_t q : kGalleryModuli) {
    const Modulus modulus = Modulus::create(q).value();
    std::vector<uint32_t> residues(1 << 16);
    sample_uniform(counting_seed(), "range", 0, modulus, residues);
    std::vector<double> buckets(64);
    for (uint32_t residue : residues) {
      ASSERT_LT(residue, q);
      buckets[uint64_t{residue} * 64 / q] += 1;
    }
    double chi_square = 0;
    for (double count : buckets) chi_square += (count - 1024) * (count - 1024) / 1024;
    EXPECT_LT(chi_square, 63 + 6 * std::sqrt(2 * 63.0)) << q;  // six deviations
  }
}

TEST(SampleTernary, IsUniformOnThreeValues) {
  const SecretSeed seed = SecretSeed::insecure_fixed(1).value();
  const SmallSecret secret = sample_ternary(seed, "key", 0, 1 << 16).value();
  std::map<int, double> counts;
  for (int8_t value : secret.span()) counts[value] += 1;
  ASSERT_EQ(counts.size(), 3u);
  const double expected = 65536 / 3.0;
  for (int value : {-1, 0, 1})
    EXPECT_NEAR(counts[value], expected, 6 * std::sqrt(expected * 2 / 3)) << value;
}

TEST(SampleError, HasTheDocumentedDeviationAndRange) {
  const SecretSeed seed = SecretSeed::insecure_fixed(2).value();
  const SmallSecret errors = sample_error(seed, "error", 0, 1 << 16).value();
  for (int8_t value : errors.span()) EXPECT_LE(std::abs(value), 21);
  const auto [mean, variance] = mean_and_variance(errors.span());
  EXPECT_NEAR(mean, 0, 6 * kErrorDeviation / 256);
  EXPECT_NEAR(variance, 10.5, 6 * 10.5 * std::sqrt(2.0) / 256);
  EXPECT_NEAR(kErrorDeviation * kErrorDeviation, 10.5, 1e-12);
}

TEST(SampleSmall, DegreesBelowAndAboveAChunkAgree) {
  const SecretSeed seed = SecretSeed::insecure_fixed(3).value();
  const SmallSecret few = sample_error(seed, "error", 5, 16).value();
  const SmallSecret many = sample_error(seed, "error", 5, 1 << 14).value();
  EXPECT_TRUE(std::equal(few.span().begin(), few.span().end(), many.span().begin()));
}

TEST(SecretSeed, FreshOnesDiffer) {
  const SecretSeed a = SecretSeed::fresh().value();
  const SecretSeed b = SecretSeed::fresh().value();
  EXPECT_FALSE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin()));
  EXPECT_NE(fresh_public_seed(), fresh_public_seed());
}

TEST(Keystream, ReadsAreContiguous) {
  const auto seed = counting_seed();
  Keystream whole(seed, "stream", 1), parts(seed, "stream", 1);
  std::vector<uint8_t> expected(100), got(100);
  whole.read(expected);
  parts.read(std::span(got).first(33));
  parts.read(std::span(got).subspan(33));
  EXPECT_EQ(got, expected);
}

TEST(KeystreamDeathTest, RefusesPurposesOutsideItsLimits) {
  EXPECT_DEATH(Keystream(counting_seed(), "", 0), "purpose");
  EXPECT_DEATH(Keystream(counting_seed(), std::string(65, 'x'), 0), "purpose");
}

}  // namespace
}  // namespace bauta::ring
