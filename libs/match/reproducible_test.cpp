// Whoever holds the same references, probe, request and seed computes the same bytes.

#include <algorithm>
#include <iterator>

#include <gtest/gtest.h>

#include "match/admission.h"
#include "match/test_tenant.h"

namespace bauta::match {
namespace {

class ReproducibleTest : public testing::Test {
 protected:
  static constexpr size_t kReferences = 12;

  static ring::PublicSeed seed(uint8_t number) {
    ring::PublicSeed bytes{};
    bytes[0] = number;
    return bytes;
  }
  // Over three blocks of two foldings.
  static uint64_t slot(size_t i) { return i % 3 * kDegree + i * (i % 3 == 1 ? 60 : 5); }

  // Of a server of its own.
  std::unique_ptr<Gallery> gallery(ThreadPool* pool) const {
    const auto original = [this](uint64_t wanted) -> Result<StoredReference> {
      for (size_t i = 0; i < kReferences; ++i)
        if (slot(i) == wanted) return tenant_.keys->admit_reference(references_[i]);
      return no_original(wanted);
    };
    auto made = std::make_unique<Gallery>(tenant_.keys, original, pool);
    for (size_t i = 0; i < kReferences; ++i)
      must(made->insert(slot(i), must(tenant_.keys->admit_reference(references_[i]))));
    return made;
  }
  SwitchedProbe probe() const { return must(tenant_.keys->admit_probe(probe_)); }
  Bytes serialised(const Search& search) const {
    return serialize_score_request(tenant_.parameters, search.request);
  }
  // Everything that a server sends, made with this seed and these threads.
  std::vector<Bytes> all(const ring::PublicSeed& seed, ThreadPool* pool) const {
    const auto searched = gallery(pool);
    const StoredReference reference = must(tenant_.keys->admit_reference(references_[0]));
    const std::vector<uint64_t> slots{slot(0), slot(4), slot(5)};
    const VisibleProbe visible{must(encode_probe(tenant_.parameters, people_[0]))};
    return {
        serialised(must(searched->search(probe(), seed))),
        serialised(must(searched->search(visible, seed))),
        serialised(must(searched->compare(probe(), slots, seed))),
        serialised(must(compare_one(*tenant_.keys, probe(), 3, reference, seed))),
        serialize_admission(tenant_.parameters, must(make_admission(*tenant_.keys, probe(), seed))),
        serialize_admission(tenant_.parameters,
                            must(make_admission(*tenant_.keys, reference, seed)))};
  }

  TestTenant tenant_{128};
  std::vector<Embedding> people_;
  std::vector<Bytes> references_;
  Bytes probe_;

  ReproducibleTest() {
    People people(128);
    for (size_t i = 0; i < kReferences; ++i) {
      people_.push_back(people.next());
      references_.push_back(tenant_.reference_bytes(people_.back()));
    }
    probe_ = tenant_.probe_bytes(people_[3]);
  }
};

TEST_F(ReproducibleTest, OneSeedMakesTheSameBytesOnAnyThreads) {
  ThreadPool two(2), five(5);
  const std::vector<Bytes> first = all(seed(1), nullptr);
  EXPECT_EQ(all(seed(1), nullptr), first);
  EXPECT_EQ(all(seed(1), &two), first);
  EXPECT_EQ(all(seed(1), &five), first);
}

TEST_F(ReproducibleTest, AnotherSeedOrNoneMakesOthers) {
  const std::vector<Bytes> first = all(seed(1), nullptr), second = all(seed(2), nullptr);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NE(first[i], second[i]) << i;
  const auto searched = gallery(nullptr);
  EXPECT_NE(serialised(must(searched->search(probe()))),
            serialised(must(searched->search(probe()))));
}

TEST_F(ReproducibleTest, ManyProbesHaveASeedEach) {
  const auto searched = gallery(nullptr);
  std::vector<SwitchedProbe> probes;
  probes.push_back(probe());
  probes.push_back(probe());
  const std::vector<ring::PublicSeed> seeds{seed(1), seed(2)};
  const auto searches =
      must(searched->search(std::span<const SwitchedProbe>(probes), nullptr, seeds));
  EXPECT_EQ(serialised(searches[0]), serialised(must(searched->search(probe(), seed(1)))));
  EXPECT_EQ(serialised(searches[1]), serialised(must(searched->search(probe(), seed(2)))));
}

// A probe's admission and a reference's use different masks, even under one seed by mistake, and so
// do the blocks of a request.
TEST_F(ReproducibleTest, NoMaskIsUsedTwice) {
  const StoredReference reference = must(tenant_.keys->admit_reference(references_[0]));
  const SwitchedProbe same{reference.ciphertext.c0.clone(), reference.ciphertext.c1.clone(),
                           tenant_.parameters.probe_scale(), reference.ciphertext.key_id};
  const Admission a = must(make_admission(*tenant_.keys, same, seed(1)));
  const Admission b = must(make_admission(*tenant_.keys, reference, seed(1)));
  EXPECT_NE(a.stray.c0.limb(0)[0], b.stray.c0.limb(0)[0]);
  // Every score of these blocks is of the same person with the same probe: only masks differ.
  Gallery twice(tenant_.keys, no_original);
  must(twice.insert(0, reference));
  must(twice.insert(kDegree, reference));
  const Search search = must(twice.search(probe(), seed(1)));
  std::vector<uint32_t> residues[2];
  for (size_t i = 0; i < 2; ++i) {
    residues[i] = tenant_.decrypt(search.request.blocks[i]);
    // Without the sign, which the rotation changes.
    for (uint32_t& residue : residues[i])
      residue = std::min(residue, tenant_.parameters.ring().primes()[0] - residue);
    std::ranges::sort(residues[i]);
  }
  std::vector<uint32_t> common;
  std::ranges::set_intersection(residues[0], residues[1], std::back_inserter(common));
  EXPECT_LT(common.size(), 10U);
}

}  // namespace
}  // namespace bauta::match
