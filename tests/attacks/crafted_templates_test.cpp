// What an edge gains from ciphertexts that hold no unit template: nothing, they are refused.

#include "tests/attacks/malicious_edge.h"

namespace bauta {
namespace {

class CraftedTemplatesTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    honest_ = parties_->make_edge();
    for (unsigned person = 0; person < 5; ++person)
      ASSERT_TRUE(enroll(*honest_, "gallery", person).ok());
    malicious_ = std::make_unique<MaliciousEdge>(*parties_, "edge-m");
  }

  // Every request is to be refused for itself.
  std::string policy() const override { return R"({"crafted_requests": 1000})"; }

  template <typename Reply>
  static void expect_refused(const Result<Reply>& reply, const std::string& word) {
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, ErrorCode::refused);
    EXPECT_NE(reply.error().message.find(word), std::string::npos) << reply.error().message;
  }

  std::unique_ptr<edge::Edge> honest_;
  std::unique_ptr<MaliciousEdge> malicious_;
};

TEST_F(CraftedTemplatesTest, TheSameEncodingOfARealTemplateIsAccepted) {
  const auto reply = malicious_->identify(malicious_->encode_probe(make_embedding(2, 1)));
  ASSERT_TRUE(reply.ok()) << reply.error().message;
  EXPECT_EQ(reply->subject(), subject_name(2));
  EXPECT_TRUE(malicious_->enrol("own", malicious_->encode_reference(make_embedding(9))).ok());
}

// A score of 0.4 becomes 0.8.
TEST_F(CraftedTemplatesTest, OversizedProbesAndReferencesAreRefused) {
  for (const double factor : {1.05, 2.0, 8.0, 100.0}) {
    expect_refused(malicious_->identify(malicious_->encode_probe(make_embedding(2, 1), factor)),
                   "no template");
    expect_refused(
        malicious_->enrol("big", malicious_->encode_reference(make_embedding(9), factor)),
        "references from edge edge-m");
  }
}

// Sum of squares D^2 + Q: a product modulo Q does not see that the vector is 16 times too long.
TEST_F(CraftedTemplatesTest, TemplatesWhoseNormWrapsAroundAreRefused) {
  const auto& primes = malicious_->parameters.ring().primes();
  const double scale = malicious_->parameters.probe_scale();
  auto missing = uint64_t{primes[0]} * primes[1] + static_cast<uint64_t>(scale * scale);
  MaliciousEdge::Coefficients coefficients(match::kDegree);
  for (size_t i = 0; missing > 0; i += malicious_->parameters.stride()) {
    coefficients[i] = static_cast<int64_t>(std::sqrt(static_cast<long double>(missing)));
    missing -= static_cast<uint64_t>(coefficients[i] * coefficients[i]);
  }
  expect_refused(malicious_->identify(coefficients), "no template");
}

// Would make its owner match at many positions.
TEST_F(CraftedTemplatesTest, OffStrideProbesAndReferencesAreRefused) {
  auto probe = malicious_->encode_probe(make_embedding(2, 1));
  auto reference = malicious_->encode_reference(make_embedding(9));
  const int64_t signal = int64_t{1} << 20;
  for (size_t shift = 1; shift < malicious_->parameters.stride(); shift += 7) {
    probe[shift] += signal;
    reference[shift] += signal;
    expect_refused(malicious_->identify(probe), "no template");
    expect_refused(malicious_->enrol("wide", reference), "no template");
  }
}

}  // namespace
}  // namespace bauta
