#include "match/template_codec.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bauta::match {
namespace {

using testing::HasSubstr;

const Parameters& parameters() {
  static const Parameters of_128 = *Parameters::create(128);
  return of_128;
}

std::vector<float> unit_vector(size_t dimension) {
  return std::vector<float>(dimension, 1 / std::sqrt(static_cast<float>(dimension)));
}

TEST(MatchParameters, WidthAndScalesFollowFromTheDimension) {
  struct Case {
    size_t dimension, width;
    int log2_probe_scale, log2_reference_scale;
  };
  const Case cases[] = {{1, 64, 26, 26},     {64, 64, 26, 26},    {65, 128, 26, 25},
                        {128, 128, 26, 25},  {256, 256, 25, 25},  {512, 512, 25, 24},
                        {513, 1024, 24, 24}, {1024, 1024, 24, 24}};
  for (const Case& expected : cases) {
    const auto made = Parameters::create(expected.dimension);
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(made->width(), expected.width);
    EXPECT_EQ(made->stride() * made->width(), kDegree);
    EXPECT_EQ(made->probe_scale(), std::ldexp(1, expected.log2_probe_scale));
    EXPECT_EQ(made->reference_scale(), std::ldexp(1, expected.log2_reference_scale));
    // The largest plausible score and the offset stay inside the one modulus that is left.
    EXPECT_LT((kPlausibleScore + kScoreOffset) * made->score_scale(), 1073479681 / 2.0);
  }
}

TEST(MatchParameters, DigestTellsDimensionsApart) {
  EXPECT_EQ(Parameters::create(128)->digest(), parameters().digest());
  EXPECT_NE(Parameters::create(127)->digest(), parameters().digest());
  EXPECT_NE(Parameters::create(512)->digest(), parameters().digest());
}

TEST(MatchParameters, CreateFailsIfTheDimensionIsImpossible) {
  EXPECT_FALSE(Parameters::create(0).ok());
  EXPECT_FALSE(Parameters::create(1025).ok());
}

// The product of the two polynomials has the inner product at coefficient 0.
TEST(TemplateCodec, CoefficientZeroOfTheProductIsTheInnerProduct) {
  std::vector<float> a(128), b(128);
  double squares_a = 0, squares_b = 0, inner = 0;
  for (size_t i = 0; i < 128; ++i) {
    a[i] = std::sin(static_cast<float>(i));
    b[i] = std::cos(static_cast<float>(3 * i));
    squares_a += double{a[i]} * a[i];
    squares_b += double{b[i]} * b[i];
  }
  for (size_t i = 0; i < 128; ++i) {
    a[i] /= static_cast<float>(std::sqrt(squares_a));
    b[i] /= static_cast<float>(std::sqrt(squares_b));
    inner += double{a[i]} * b[i];
  }
  const TemplatePolynomial probe = *encode_probe(parameters(), a);
  const TemplatePolynomial reference = *encode_reference(parameters(), b);
  double coefficient = static_cast<double>(probe.data()[0]) * reference.data()[0];
  for (size_t i = 1; i < kDegree; ++i)  // X^i * X^(N-i) = -1
    coefficient -= static_cast<double>(probe.data()[kDegree - i]) * reference.data()[i];
  EXPECT_NEAR(coefficient / (parameters().probe_scale() * parameters().reference_scale()), inner,
              1e-7);
}

TEST(TemplateCodec, KnownAnswer) {
  std::vector<float> embedding(128);
  embedding[0] = 0.6f;
  embedding[1] = 0.0f;
  embedding[127] = -0.8f;
  const TemplatePolynomial probe = *encode_probe(parameters(), embedding);
  const TemplatePolynomial reference = *encode_reference(parameters(), embedding);
  for (size_t i = 0; i < kDegree; ++i) {
    const int32_t expected_probe = i == 0 ? 40265320 : i == 4096 - 127 * 32 ? 53687092 : 0;
    const int32_t expected_reference = i == 0 ? 20132660 : i == 127 * 32 ? -26843546 : 0;
    ASSERT_EQ(probe.data()[i], expected_probe) << i;
    ASSERT_EQ(reference.data()[i], expected_reference) << i;
  }
}

TEST(TemplateCodec, FailsIfTheEmbeddingCannotBeUsed) {
  const auto refused = [](const std::vector<float>& embedding, const char* words) {
    for (const auto& encoded :
         {encode_probe(parameters(), embedding), encode_reference(parameters(), embedding)}) {
      ASSERT_FALSE(encoded.ok()) << words;
      EXPECT_EQ(encoded.error().code, ErrorCode::invalid_argument);
      EXPECT_THAT(encoded.error().message, HasSubstr(words));
    }
  };
  refused({}, "has 0 entries");
  refused(unit_vector(127), "has 127 entries");
  refused(unit_vector(129), "has 129 entries");
  refused(std::vector<float>(128, 0.0f), "norm 0.0000");
  std::vector<float> embedding = unit_vector(128);
  for (float& entry : embedding) entry *= 1.002f;
  refused(embedding, "norm 1.0020");
  refused(std::vector<float>(128, std::numeric_limits<float>::max()), "norm");
  embedding = unit_vector(128);
  embedding[3] = std::numeric_limits<float>::quiet_NaN();
  refused(embedding, "not a finite number");
  embedding[3] = std::numeric_limits<float>::infinity();
  refused(embedding, "not a finite number");
}

}  // namespace
}  // namespace bauta::match
