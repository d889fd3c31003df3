// Two tenants: references of one face under both keys cannot be told from references of two faces,
// and the key of one opens nothing of the other's.

#include <numbers>

#include "base/file.h"
#include "match/template_ciphertext.h"
#include "secret/encryption.h"
#include "store/catalogue.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

constexpr unsigned kPairs = 1000;
constexpr unsigned kPerSubject = 250;

class UnlinkableTest : public SystemTest {
 protected:
  // The same people in a gallery of each tenant, as the server stores them.
  std::vector<match::StoredReference> enrol_all(const std::string& tenant,
                                                const std::string& gallery) {
    if (gallery != "gallery") parties_->create_gallery(gallery, tenant);
    const auto edge = parties_->make_edge("edge-1", tenant);
    for (unsigned first = 0; first < kPairs; first += kPerSubject) {
      std::vector<face::Embedding> faces;
      for (unsigned i = 0; i < kPerSubject; ++i) faces.push_back(make_embedding(first + i));
      EXPECT_TRUE(edge->enroll(gallery, subject_name(first), faces).ok());
    }
    auto catalogue = store::Catalogue::open(directory_ / "auth" / "catalogue.sqlite").value();
    const store::Gallery row = catalogue.find_gallery(gallery).value();
    std::vector<match::StoredReference> references;
    for (unsigned first = 0; first < kPairs; first += kPerSubject) {
      const store::Subject subject = catalogue.find_subject(row, subject_name(first)).value();
      for (const store::Reference& reference : subject.references) {
        const Bytes original = catalogue.read_original(row, reference.id).value();
        references.push_back(match::parse_stored_reference(parameters_, original).value());
      }
    }
    return references;
  }

  // How alike two polynomials are, for every lag of one class: the mean of cos(2 pi (a - b) / q)
  // over the coefficients of the stride, where a template stands.
  double likeness(const ring::CoefficientPolynomial& a,
                  const ring::CoefficientPolynomial& b) const {
    const double turn = 2 * std::numbers::pi / parameters_.ring().primes()[0];
    double sum = 0;
    for (size_t j = 0; j < match::kDegree; j += parameters_.stride())
      sum +=
          std::cos(turn * (static_cast<double>(a.limb(0)[j]) - static_cast<double>(b.limb(0)[j])));
    return sum;
  }

  secret::SecretKey tenant_secret(const std::string& tenant) {
    const auto id = *key::parse_key_id(parties_->tenant_key(tenant));
    const SecretBytes seed = *parties_->key->store().derive(id, key::kTenantPurpose);
    return std::move(secret::SecretKey::expand(parameters_.ring(), seed, key::kTenantPurpose))
        .value();
  }

  match::Parameters parameters_ = *match::Parameters::create(kTestDimension);
};

TEST_F(UnlinkableTest, TheSameFaceAtTwoTenantsLooksLikeTwoFaces) {
  const auto first = enrol_all("tenant", "gallery");
  const auto second = enrol_all("tenant-b", "gallery-b");
  ASSERT_EQ(first.size(), kPairs);
  ASSERT_EQ(second.size(), kPairs);
  // Welch's test on the likeness of 1,000 pairs of one face and 1,000 of two, for both halves and
  // their crossings.
  const auto t_of = [&](auto half_of_first, auto half_of_second) {
    double sums[2] = {}, squares[2] = {};
    for (unsigned i = 0; i < kPairs; ++i)
      for (const unsigned other : {i, (i + 1) % kPairs}) {
        const double value = likeness(half_of_first(first[i]), half_of_second(second[other]));
        sums[other != i] += value;
        squares[other != i] += value * value;
      }
    double variance = 0;
    for (int k = 0; k < 2; ++k)
      variance += (squares[k] - sums[k] * sums[k] / kPairs) / (kPairs - 1) / kPairs;
    return (sums[0] - sums[1]) / kPairs / std::sqrt(variance);
  };
  const auto c0 = [](const match::StoredReference& r) -> const auto& {
    return r.ciphertext.c0;
  };
  const auto c1 = [](const match::StoredReference& r) -> const auto& {
    return r.ciphertext.c1;
  };
  EXPECT_LT(std::abs(t_of(c0, c0)), 4);
  EXPECT_LT(std::abs(t_of(c1, c1)), 4);
  EXPECT_LT(std::abs(t_of(c0, c1)), 4);
  EXPECT_LT(std::abs(t_of(c1, c0)), 4);

  // The control: with both keys the same test tells one face from two at once.
  const secret::SecretKey keys[2] = {tenant_secret("tenant"), tenant_secret("tenant-b")};
  const auto opened = [&](int which, const match::StoredReference& reference) {
    const auto residues = secret::decrypt(keys[which], reference.ciphertext).value();
    const double half = parameters_.ring().primes()[0] / 2.0;
    std::vector<double> values;
    for (size_t j = 0; j < match::kDegree; j += parameters_.stride())
      values.push_back(residues.limb(0)[j] > half ? residues.limb(0)[j] - 2 * half
                                                  : residues.limb(0)[j]);
    return values;
  };
  const auto score = [&](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum / parameters_.reference_scale() / parameters_.reference_scale();
  };
  EXPECT_NEAR(score(opened(0, first[5]), opened(1, second[5])), 1, 0.01);
  EXPECT_LT(score(opened(0, first[5]), opened(1, second[6])), 0.6);

  // One tenant's key on the other's reference: refused, and where its label is forged, residues
  // that are uniform for all one can see.
  ASSERT_FALSE(secret::decrypt(keys[0], second[5].ciphertext).ok());
  ckks::CoefficientCiphertext forged = {second[5].ciphertext.c0.clone(),
                                        second[5].ciphertext.c1.clone(), second[5].ciphertext.scale,
                                        keys[0].id()};
  const auto residues = secret::decrypt(keys[0], forged).value();
  constexpr int kBins = 16;
  double counts[kBins] = {};
  for (const uint32_t residue : residues.limb(0))
    counts[uint64_t{residue} * kBins / parameters_.ring().primes()[0]] += 1;
  double chi_squared = 0;
  const double expected = double{match::kDegree} / kBins;
  for (const double count : counts)
    chi_squared += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_squared, 50) << "15 degrees of freedom";
}

}  // namespace
}  // namespace bauta
