#include "match/renewal.h"

#include <gtest/gtest.h>

#include "match/test_tenant.h"

namespace bauta::match {
namespace {

constexpr size_t kDimension = 128;
constexpr int kRenewals = 4;

// Key generation number 0 is the first; each has keys of its own.
const TestTenant& generation(uint64_t number) {
  static std::map<uint64_t, std::unique_ptr<TestTenant>> made;
  std::unique_ptr<TestTenant>& one = made[number];
  if (one == nullptr) one = std::make_unique<TestTenant>(kDimension, 100 + number);
  return *one;
}

Bytes switching_key(const TestTenant& from, const TestTenant& to) {
  return ckks::serialize(
      to.parameters.ring(),
      must(secret::generate_switching_key(from.tenant, to.tenant, key_shape(to.parameters))));
}

Renewal renewal(uint64_t from) {
  const TestTenant& next = generation(from + 1);
  return must(Renewal::create(next.keys, switching_key(generation(from), next)));
}

void expect_exact(const TestTenant& tenant, Gallery& gallery, const Embedding& probe,
                  const std::vector<Embedding>& people) {
  const ScoreErrors errors =
      score_errors(tenant, must(gallery.search(tenant.probe(probe))), probe,
                   [&](uint64_t slot) -> const Embedding& { return people[slot]; });
  fmt::print("after {} renewals: score error rms {:.2e}, max {:.2e}\n", kRenewals, errors.rms,
             errors.max);
  EXPECT_EQ(errors.scores, people.size());
  EXPECT_LT(errors.rms, 1.5e-5);
  EXPECT_LT(errors.max, 7e-5);
}

// 4,096 references enrolled one by one, renewed four times each, then laid out.
TEST(Renewal, FourTimesOnEveryOriginalOfABlock) {
  if (std::getenv("BAUTA_ISA") != nullptr)
    GTEST_SKIP() << "16,384 key switches; those of every instruction set are the same bit for bit";
  People people(kDimension);
  std::vector<Embedding> enrolled;
  std::vector<Renewal> renewals;
  for (uint64_t number = 0; number < kRenewals; ++number) renewals.push_back(renewal(number));
  const TestTenant& last = generation(kRenewals);
  Gallery gallery(last.keys, no_original);
  gallery.reserve(kDegree);
  for (size_t slot = 0; slot < kDegree; ++slot) {
    enrolled.push_back(people.next());
    StoredReference reference = generation(0).reference(enrolled.back());
    for (const Renewal& step : renewals) reference = must(step.renew(reference));
    EXPECT_EQ(reference.ciphertext.key_id, last.tenant.id());
    must(gallery.insert(slot, reference));
  }
  expect_exact(last, gallery, people.next_near(enrolled[99], 0.7f), enrolled);
}

TEST(Renewal, FourTimesOnABlockMadeWhole) {
  People people(kDimension);
  std::vector<Embedding> enrolled;
  for (size_t j = 0; j < kDegree; ++j) enrolled.push_back(people.next());
  TiledCiphertexts images = make_block(generation(0), enrolled);
  ThreadPool pool(2);
  for (uint64_t number = 0; number < kRenewals; ++number)
    images = renewal(number).renew(images, &pool);
  const TestTenant& last = generation(kRenewals);
  Gallery gallery(last.keys, no_original);
  must(gallery.append_block(std::move(images), first_positions(kDegree)));
  expect_exact(last, gallery, people.next_near(enrolled[99], 0.7f), enrolled);
}

// The distance of what a key reads in a ciphertext from the template that was encrypted.
double reading_error(const secret::SecretKey& key, StoredReference& reference,
                     const TemplatePolynomial& message) {
  reference.ciphertext.key_id = key.id();  // as somebody who does not care for names would
  const ring::SecretCoefficients residues = must(secret::decrypt(key, reference.ciphertext));
  const int64_t q = key.parameters().primes()[0];
  double squares = 0;
  for (size_t i = 0; i < kDegree; ++i) {
    int64_t value = (int64_t{residues.limb(0)[i]} - message.data()[i]) % q;
    if (value > q / 2) value -= q;
    if (value < -q / 2) value += q;
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(squares / kDegree);
}

TEST(Renewal, LeavesNothingThatTheOldKeyOpens) {
  const Embedding person = People(kDimension).next();
  const TemplatePolynomial message = must(encode_reference(generation(0).parameters, person));
  StoredReference reference = generation(0).reference(person);
  EXPECT_LT(reading_error(generation(0).tenant, reference, message), 100);
  StoredReference renewed = must(renewal(0).renew(reference));
  const auto refused = secret::decrypt(generation(0).tenant, renewed.ciphertext);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::mismatch);
  EXPECT_LT(reading_error(generation(1).tenant, renewed, message), 100);
  // A uniform residue is q / sqrt(12) away.
  EXPECT_GT(reading_error(generation(0).tenant, renewed, message), 1073479681 / 4.0);
}

TEST(Renewal, RefusesOtherKeys) {
  const TestTenant &first = generation(0), &second = generation(1), &third = generation(2);
  const auto wrong_end = Renewal::create(third.keys, switching_key(first, second));
  ASSERT_FALSE(wrong_end.ok());
  EXPECT_EQ(wrong_end.error().code, ErrorCode::mismatch);
  const auto circle = Renewal::create(first.keys, switching_key(first, first));
  ASSERT_FALSE(circle.ok());
  EXPECT_EQ(circle.error().code, ErrorCode::mismatch);
  EXPECT_EQ(Renewal::create(first.keys, Bytes(100)).error().code, ErrorCode::corrupt);
  // Renewed already, so under another key than the one that is renewed.
  const StoredReference reference = third.reference(People(kDimension).next());
  const auto again = renewal(0).renew(reference);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::mismatch);
}

}  // namespace
}  // namespace bauta::match
