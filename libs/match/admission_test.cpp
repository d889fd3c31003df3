// Which ciphertexts are admitted as templates, and which are found out.

#include "match/admission.h"

#include <gtest/gtest.h>

#include "match/test_tenant.h"

namespace bauta::match {
namespace {

using Coefficients = std::vector<int64_t>;

class AdmissionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { tenant_ = new TestTenant(128); }
  static void TearDownTestSuite() {
    delete tenant_;
    tenant_ = nullptr;
  }

  static const Parameters& parameters() { return tenant_->parameters; }
  static int64_t modulus() {
    return int64_t{parameters().ring().primes()[0]} * parameters().ring().primes()[1];
  }

  // What an edge sends that may encrypt whatever it likes.
  static StoredReference reference_of(const Coefficients& coefficients,
                                      const TestTenant& tenant = *tenant_) {
    const ckks::Message message{coefficients, tenant.parameters.reference_scale()};
    return must(tenant.keys->admit_reference(serialize_reference(
        tenant.parameters, must(secret::encrypt(tenant.edge, message, kLimbs)))));
  }

  // Four coefficients of (x + Q)/2, x odd: their squared norm is x^2 modulo Q, and every inner
  // product with weights of an even sum is short.
  static Coefficients halves(const TestTenant& tenant) {
    const auto scale = std::llround(tenant.parameters.reference_scale());
    Coefficients coefficients(kDegree);
    for (size_t i = 0; i < 4; ++i)
      coefficients[i * tenant.parameters.stride()] = (scale - 1 + modulus()) / 2;
    return coefficients;
  }

  static Coefficients coefficients_of(const Embedding& embedding, double factor = 1) {
    Coefficients coefficients(kDegree);
    for (size_t i = 0; i < embedding.size(); ++i)
      coefficients[i * parameters().stride()] =
          std::llround(factor * parameters().reference_scale() * embedding[i]);
    return coefficients;
  }

  // What the key service does.
  static Result<double> check(const Admission& sent, double tolerance = kSquaredNormTolerance,
                              const TestTenant& tenant = *tenant_) {
    const Admission admission =
        must(parse_admission(tenant.parameters, serialize_admission(tenant.parameters, sent)));
    return tenant.check(admission, tolerance);
  }
  static Result<double> check(const Coefficients& coefficients,
                              double tolerance = kSquaredNormTolerance) {
    return check(must(make_admission(*tenant_->keys, reference_of(coefficients))), tolerance);
  }

  static TestTenant* tenant_;
  People people_{128};
};
TestTenant* AdmissionTest::tenant_ = nullptr;

TEST_F(AdmissionTest, TemplatesAreAdmittedInEveryWidth) {
  for (const size_t dimension : {64, 100, 200, 512, 1024}) {
    const TestTenant tenant(dimension);
    People people(dimension);
    for (int i = 0; i < 10; ++i) {
      const auto probe = check(must(make_admission(*tenant.keys, tenant.probe(people.next()))),
                               kSquaredNormTolerance, tenant);
      ASSERT_TRUE(probe.ok()) << probe.error().message;
      EXPECT_NEAR(*probe, 1, dimension > 512 ? 5e-4 : 1e-4);  // by their scale
      const auto reference =
          check(must(make_admission(*tenant.keys, tenant.reference(people.next()))),
                kSquaredNormTolerance, tenant);
      ASSERT_TRUE(reference.ok()) << reference.error().message;
      EXPECT_NEAR(*reference, 1, 1e-3);
    }
  }
}

TEST_F(AdmissionTest, WrongNormsAreRefused) {
  for (const double factor : {0.0, 0.5, 0.99, 1.01, 1.1, 2.0, 3.0, 10.0}) {
    const auto norm = check(coefficients_of(people_.next(), factor));
    ASSERT_FALSE(norm.ok()) << factor;
    EXPECT_EQ(norm.error().code, ErrorCode::refused);
    EXPECT_NE(norm.error().message.find("reference is not a vector of norm 1"), std::string::npos);
  }
}

TEST_F(AdmissionTest, AGalleryMayTolerateShortTemplatesButNoLongOnes) {
  const auto shorter = check(coefficients_of(people_.next(), 0.9), 0.3);
  ASSERT_TRUE(shorter.ok()) << shorter.error().message;
  EXPECT_NEAR(*shorter, 0.81, 1e-3);
  EXPECT_TRUE(check(coefficients_of(people_.next(), 1.03), 0.3).ok());
  EXPECT_FALSE(check(coefficients_of(people_.next(), 1.1), 0.3).ok());
}

TEST_F(AdmissionTest, ASignalOffTheStrideIsRefused) {
  const size_t stride = parameters().stride();
  // The last is zero modulo the first prime.
  for (const int64_t value : {int64_t{1000}, int64_t{-1} << 20, modulus() / 2,
                              int64_t{parameters().ring().primes()[0]} * 12345}) {
    for (const size_t place : {size_t{1}, stride - 1, stride + 1, kDegree - 1}) {
      Coefficients coefficients = coefficients_of(people_.next());
      coefficients[place] = value;
      const auto refused = check(coefficients);
      ASSERT_FALSE(refused.ok()) << value << " at " << place;
      EXPECT_EQ(refused.error().code, ErrorCode::refused);
      EXPECT_NE(refused.error().message.find("only noise"), std::string::npos);
    }
  }
}

// A squared norm of D^2 + t*Q is D^2 modulo Q.
TEST_F(AdmissionTest, ANormThatWrapsAroundTheModulusIsRefused) {
  const double scale = parameters().reference_scale();
  for (int64_t wraps = 1; wraps <= 4; ++wraps) {
    Coefficients coefficients(kDegree);
    auto missing = static_cast<uint64_t>(wraps * modulus() + std::llround(scale * scale));
    for (size_t i = 0; missing > 0; i += parameters().stride()) {
      const auto part = static_cast<uint64_t>(std::sqrt(static_cast<long double>(missing)));
      coefficients[i] = static_cast<int64_t>(part);
      missing -= part * part;
    }
    for (int attempt = 0; attempt < 100; ++attempt) EXPECT_FALSE(check(coefficients).ok());
  }
}

// (Q+1)/2 is a half modulo Q: four of them have the squared norm 1, and a product with the noise is
// small half the time.
TEST_F(AdmissionTest, HalvesOfTheModulusAreRefused) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    Coefficients coefficients = coefficients_of(people_.next());
    for (size_t i = 0; i < 4; ++i) coefficients[i * parameters().stride()] += modulus() / 2;
    EXPECT_FALSE(check(coefficients).ok());
  }
}

// Nothing but the projections finds halves out, and each does with a probability of a half by
// itself: 2^-32 pass all. Counted here, and the spread of the counts, which would be larger if
// projections shared weights.
TEST_F(AdmissionTest, HalvesPassEveryProjectionWithOneHalfOnly) {
  constexpr int kAttempts = 200;
  for (const size_t dimension : {64, 128, 256, 512, 1024}) {
    const TestTenant tenant(dimension);
    const Parameters& of = tenant.parameters;
    EXPECT_EQ(shown_projections(of) * projection_ciphertexts(of), 32U);
    People people(dimension);
    const Admission honest = must(make_admission(*tenant.keys, tenant.reference(people.next())));
    // Whether they have norm 1 with their noise is one more toss.
    StoredReference crafted;
    bool passes_the_rest = false;
    for (int toss = 0; toss < 40 && !passes_the_rest; ++toss) {
      crafted = reference_of(halves(tenant), tenant);
      Admission admission = must(make_admission(*tenant.keys, crafted));
      admission.projections.clear();
      for (const ckks::CoefficientCiphertext& shown : honest.projections)
        admission.projections.push_back(
            {shown.c0.clone(), shown.c1.clone(), shown.scale, shown.key_id});
      passes_the_rest = check(admission, kSquaredNormTolerance, tenant).ok();
    }
    ASSERT_TRUE(passes_the_rest) << dimension;
    double sum = 0, squares = 0;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const Admission admission = must(make_admission(*tenant.keys, crafted));
      EXPECT_FALSE(check(admission, kSquaredNormTolerance, tenant).ok());
      const auto projections = must(tenant.decrypt_projections(admission));
      const auto count = static_cast<double>(
          short_projections(of, TemplateKind::reference, LocalTenant::limbs_of(projections)));
      sum += count;
      squares += count * count;
    }
    const double mean = sum / kAttempts, variance = squares / kAttempts - mean * mean;
    fmt::print("{} dimensions: {:.3f} of the projections pass, variance {:.1f} of 8\n", dimension,
               mean / kProjections, variance);
    EXPECT_NEAR(mean / kProjections, 0.5, 5 * 0.5 / std::sqrt(kProjections * kAttempts));
    EXPECT_NEAR(variance, 8, 5 * 8 * std::sqrt(2.0 / kAttempts));
  }
}

TEST_F(AdmissionTest, RandomCiphertextsAreRefused) {
  std::mt19937_64 random(7);
  for (int attempt = 0; attempt < 100; ++attempt) {
    Coefficients coefficients(kDegree);
    for (size_t i = 0; i < kDegree; i += parameters().stride())
      coefficients[i] = static_cast<int64_t>(random() % static_cast<uint64_t>(modulus()));
    EXPECT_FALSE(check(coefficients).ok());
  }
}

// The masks are fresh, and what is shown beside the squared norm does not depend on the template.
TEST_F(AdmissionTest, NothingOfTheTemplateIsShown) {
  const Embedding embedding = people_.next();
  const StoredReference reference = tenant_->reference(embedding);
  const Parameters& ring = parameters();
  double overlap = 0;
  for (int round = 0; round < 20; ++round) {
    const Admission admission = must(make_admission(*tenant_->keys, reference));
    const auto stray = must(secret::decrypt(tenant_->tenant, admission.stray));
    for (size_t i = 0; i < 128; ++i) {
      const double residue = stray.limb(0)[i * ring.stride()];
      overlap += embedding[i] * (residue / ring.ring().primes()[0] - 0.5);
    }
  }
  // A sum of uniform values in [-1/2, 1/2] with weights of norm sqrt(20).
  EXPECT_LT(std::abs(overlap), 5 * std::sqrt(20.0 / 12));
}

TEST_F(AdmissionTest, DamagedObjectsAreRefused) {
  const Bytes good = serialize_admission(
      parameters(), must(make_admission(*tenant_->keys, tenant_->probe(people_.next()))));
  for (const size_t place :
       {size_t{0}, size_t{20}, size_t{104}, good.size() / 2, good.size() - 1}) {
    Bytes changed = good;
    changed[place] ^= 4;
    EXPECT_EQ(parse_admission(parameters(), changed).error().code, ErrorCode::corrupt) << place;
  }
  EXPECT_FALSE(parse_admission(parameters(), ByteView(good).first(good.size() - 1)).ok());
  EXPECT_FALSE(parse_admission(parameters(), ByteView()).ok());
  const Parameters other = must(Parameters::create(64));
  EXPECT_EQ(parse_admission(other, good).error().code, ErrorCode::mismatch);
}

TEST_F(AdmissionTest, ATemplateOfAnotherTenantIsRefused) {
  const TestTenant other(128, 2);
  EXPECT_EQ(make_admission(*other.keys, tenant_->probe(people_.next())).error().code,
            ErrorCode::mismatch);
}

}  // namespace
}  // namespace bauta::match
