#include "match/gallery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "match/test_tenant.h"

namespace bauta::match {
namespace {

using testing::HasSubstr;

constexpr size_t kDimension = 128;

// One tenant for all tests of this file: its keys take a moment to make.
const TestTenant& tenant() {
  static const TestTenant one(kDimension);
  return one;
}

// A gallery with its originals beside it.
struct TestGallery {
  std::map<uint64_t, Bytes> originals;
  std::map<uint64_t, Embedding> people;
  bool store_fails = false;
  Gallery gallery{tenant().keys, [this](uint64_t slot) -> Result<StoredReference> {
                    if (store_fails) return make_error(ErrorCode::corrupt, "slot {}", slot);
                    const auto original = originals.find(slot);
                    if (original == originals.end())
                      return make_error(ErrorCode::not_found, "no original of slot {}", slot);
                    return parse_stored_reference(tenant().parameters, original->second);
                  }};

  void insert(uint64_t slot, const Embedding& embedding) {
    const StoredReference reference = tenant().reference(embedding);
    originals[slot] = serialize_stored_reference(tenant().parameters, reference);
    people[slot] = embedding;
    must(gallery.insert(slot, reference));
  }
  ScoreErrors score_errors(const Embedding& probe) {
    const Search search = must(gallery.search(tenant().probe(probe)));
    const ScoreErrors errors =
        match::score_errors(tenant(), search, probe,
                            [this](uint64_t slot) -> const Embedding& { return people.at(slot); });
    EXPECT_EQ(errors.scores, people.size());
    return errors;
  }
};

TEST(Gallery, FindsThePersonAtEveryFolding) {
  People people(kDimension);
  TestGallery test;
  // Slots at both ends of what foldings 4, 8 and 16 can hold.
  for (const uint64_t slot : {0, 1, 127, 128, 255, 256, 511}) test.insert(slot, people.next());
  EXPECT_EQ(test.gallery.references(), 7u);
  EXPECT_EQ(test.gallery.first_free_slot(), 2u);
  for (const uint64_t slot : {0, 127, 128, 511}) {
    const Embedding probe = people.next_near(test.people[slot], 0.7f);
    const Search search = must(test.gallery.search(tenant().probe(probe)));
    const ScoreReader scores = tenant().read(search.request);
    ASSERT_TRUE(scores.best().has_value());
    EXPECT_EQ(must(search.map.slot(scores.best()->position)), slot);
    EXPECT_NEAR(scores.best()->score, 0.7, 1e-4);
    EXPECT_EQ(scores.implausible_count(), 0U);
  }
}

TEST(Gallery, ScoresAreExactAtFoldings4And16) {
  for (const uint64_t references : {120, 500}) {
    People people(kDimension, references);
    TestGallery test;
    test.gallery.reserve(references);
    for (uint64_t slot = 0; slot < references; ++slot) test.insert(slot, people.next());
    const ScoreErrors errors = test.score_errors(people.next_near(test.people[7], 0.6f));
    EXPECT_LT(errors.rms, 1.5e-5) << references;
    EXPECT_LT(errors.max, 7e-5) << references;
    RecordProperty("rms_1e9", static_cast<int>(errors.rms * 1e9));
  }
}

TEST(Gallery, SearchesSeveralBlocks) {
  People people(kDimension);
  TestGallery test;
  for (const uint64_t slot : {3, 4095, 4096, 8192 + 5}) test.insert(slot, people.next());
  EXPECT_EQ(test.gallery.block_count(), 3u);
  for (const uint64_t slot : {3, 4095, 4096, 8192 + 5}) {
    const Search search = must(test.gallery.search(tenant().probe(test.people[slot])));
    const ScoreReader scores = tenant().read(search.request);
    EXPECT_EQ(must(search.map.slot(scores.best()->position)), slot);
    EXPECT_NEAR(scores.best()->score, 1, 1e-4);
  }
  EXPECT_LT(test.score_errors(people.next()).max, 7e-5);
}

TEST(Gallery, NegativeScoresDoNotWin) {
  People people(kDimension);
  TestGallery test;
  const Embedding person = people.next();
  test.insert(0, people.next_near(person, -0.5f));
  test.insert(1, people.next_near(person, -0.99f));
  test.insert(2, people.next_near(person, 0.1f));
  const Search search = must(test.gallery.search(tenant().probe(person)));
  const ScoreReader scores = tenant().read(search.request);
  EXPECT_EQ(must(search.map.slot(scores.best()->position)), 2u);
  EXPECT_NEAR(scores.best()->score, 0.1, 1e-4);
}

TEST(Gallery, ErasedReferenceCannotWinAndItsSlotIsFree) {
  People people(kDimension);
  TestGallery test;
  for (uint64_t slot = 0; slot < 10; ++slot) test.insert(slot, people.next());
  const Embedding erased = test.people[4];
  must(test.gallery.erase(4));
  EXPECT_FALSE(test.gallery.contains(4));
  EXPECT_EQ(test.gallery.first_free_slot(), 4u);
  const Search search = must(test.gallery.search(tenant().probe(erased)));
  const ScoreReader scores = tenant().read(search.request);
  EXPECT_NE(must(search.map.slot(scores.best()->position)), 4u);
  EXPECT_LT(scores.best()->score, 0.5);
}

TEST(Gallery, InsertFailsIfTheSlotIsTaken) {
  People people(kDimension);
  TestGallery test;
  test.insert(5, people.next());
  const Status status = test.gallery.insert(5, tenant().reference(people.next()));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::already_exists);
  EXPECT_EQ(test.gallery.references(), 1u);
}

TEST(Gallery, InsertFailsBeyondTheLastSlot) {
  People people(kDimension);
  TestGallery test;
  const Status status = test.gallery.insert(kMaxSlots, tenant().reference(people.next()));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::no_space);
}

TEST(Gallery, InsertFailsIfAnOriginalCannotBeRead) {
  People people(kDimension);
  TestGallery test;
  test.insert(0, people.next());
  test.store_fails = true;
  // Slot 300 makes the block wider, which needs the original of slot 0.
  const Status status = test.gallery.insert(300, tenant().reference(people.next()));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::corrupt);
  EXPECT_TRUE(test.gallery.contains(0));
  EXPECT_FALSE(test.gallery.contains(300));
}

TEST(Gallery, LeavesOutWhatIsGoneFromTheStoreWhenItLaysABlockOut) {
  People people(kDimension);
  TestGallery test;
  test.insert(0, people.next());
  test.insert(1, people.next());
  test.originals.erase(0);
  test.insert(300, people.next());  // makes the block wider
  EXPECT_FALSE(test.gallery.contains(0));
  EXPECT_TRUE(test.gallery.contains(1));
  EXPECT_TRUE(test.gallery.contains(300));
}

// A block as a segment file keeps it: its words alone.
struct StoredBlock {
  explicit StoredBlock(const Block& block) : live(block.live()) {
    for (const std::span<const uint32_t> part : block.sums())
      sums->insert(sums->end(), part.begin(), part.end());
    images->assign(block.images().words().begin(), block.images().words().end());
  }
  Block load() const {
    return Block(tenant().parameters, TiledCiphertexts(SharedWords{*images, images}), live,
                 {*sums, sums});
  }
  using Words = std::vector<uint32_t>;
  std::bitset<kDegree> live;
  std::shared_ptr<Words> images = std::make_shared<Words>(), sums = std::make_shared<Words>();
};

TEST(Gallery, ContinuesFromStoredWordsAsIfTheyHadNeverLeftIt) {
  People people(kDimension);
  TestGallery test;
  for (const uint64_t slot : {0, 1, 2, 100}) test.insert(slot, people.next());
  must(test.gallery.prepare());
  const StoredBlock stored(test.gallery.block(0));

  TestGallery loaded;
  loaded.originals = test.originals;
  loaded.people = test.people;
  loaded.gallery.place(0, stored.load());
  EXPECT_EQ(loaded.gallery.memory_bytes(), 0u);
  EXPECT_LT(loaded.score_errors(people.next()).max, 7e-5);
  const Embedding newcomer = people.next();
  test.insert(3, newcomer);
  loaded.originals[3] = test.originals[3];
  must(loaded.gallery.insert(3,
                             must(parse_stored_reference(tenant().parameters, test.originals[3]))));
  must(loaded.gallery.erase(1));
  must(test.gallery.erase(1));
  must(loaded.gallery.prepare());
  must(test.gallery.prepare());
  EXPECT_TRUE(loaded.gallery.block(0) == test.gallery.block(0));
}

TEST(Gallery, ARetiredReferenceIsOutOfTheScoresAndItsSlotCanBeTakenAgain) {
  People people(kDimension);
  TestGallery test;
  for (const uint64_t slot : {0, 1, 2}) test.insert(slot, people.next());
  must(test.gallery.prepare());
  const StoredBlock stored(test.gallery.block(0));
  TestGallery loaded;
  loaded.originals = test.originals;
  loaded.people = test.people;
  loaded.gallery.place(0, stored.load());
  loaded.gallery.retire(1);
  loaded.gallery.retire(1);
  loaded.people.erase(1);
  loaded.originals.erase(1);
  EXPECT_FALSE(loaded.gallery.contains(1));
  EXPECT_LT(loaded.score_errors(people.next()).max, 7e-5);
  loaded.insert(1, people.next());
  EXPECT_LT(loaded.score_errors(people.next()).max, 7e-5);
}

TEST(Gallery, ABlockMadeWholeTakesNoSingleReferences) {
  People people(kDimension);
  TestGallery test;
  test.insert(0, people.next());
  must(test.gallery.prepare());
  const StoredBlock stored(test.gallery.block(0));
  TestGallery loaded;
  loaded.gallery.place(
      0, Block(tenant().parameters, TiledCiphertexts(SharedWords{*stored.images, stored.images}),
               stored.live));
  EXPECT_EQ(loaded.gallery.insert(5, tenant().reference(people.next())).error().code,
            ErrorCode::refused);
  must(loaded.gallery.erase(0));
  EXPECT_EQ(loaded.gallery.references(), 0u);
}

TEST(Gallery, EraseFailsIfTheSlotIsFree) {
  TestGallery test;
  const Status status = test.gallery.erase(0);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::not_found);
}

TEST(Gallery, SearchFailsIfEmpty) {
  TestGallery test;
  const auto search = test.gallery.search(tenant().probe(People(kDimension).next()));
  ASSERT_FALSE(search.ok());
  EXPECT_THAT(search.error().message, HasSubstr("empty"));
}

TEST(Gallery, FailsIfReferenceOrProbeIsUnderAnotherKey) {
  People people(kDimension);
  TestGallery test;
  test.insert(0, people.next());
  StoredReference reference = tenant().reference(people.next());
  reference.ciphertext.key_id.bytes[0] ^= 1;
  const Status inserted = test.gallery.insert(1, reference);
  ASSERT_FALSE(inserted.ok());
  EXPECT_EQ(inserted.error().code, ErrorCode::mismatch);
  SwitchedProbe probe = tenant().probe(people.next());
  probe.ciphertext.key_id.bytes[0] ^= 1;
  const auto search = test.gallery.search(probe);
  ASSERT_FALSE(search.ok());
  EXPECT_EQ(search.error().code, ErrorCode::mismatch);
  EXPECT_FALSE(compare_one(*tenant().keys, probe, 0, tenant().reference(people.next())).ok());
}

TEST(Gallery, ComparesWithSomeReferencesAloneInTheirBlocks) {
  People people(kDimension);
  TestGallery test;
  for (const uint64_t slot : {0, 1, 2, 5000}) test.insert(slot, people.next());
  const Embedding probe = people.next_near(test.people[2], 0.8f);
  const uint64_t slots[] = {1, 5000};
  const Search search = must(test.gallery.compare(tenant().probe(probe), slots));
  size_t live = 0;
  for (uint32_t b = 0; b < search.request.blocks.size(); ++b) {
    const ScoreBlock& block = search.request.blocks[b];
    const std::vector<uint32_t> residues = tenant().decrypt(block);
    for (uint32_t j = 0; j < kDegree; ++j) {
      if (!is_live(block.live, j)) continue;
      const uint64_t slot = must(search.map.slot({b, j}));
      EXPECT_TRUE(slot == 1 || slot == 5000) << slot;
      EXPECT_NEAR(decode_score(tenant().parameters, residues[j]),
                  People::inner_product(probe, test.people[slot]), 7e-5);
      ++live;
    }
  }
  EXPECT_EQ(live, 2u);
  const uint64_t free_slot = 7;
  EXPECT_EQ(test.gallery.compare(tenant().probe(probe), {&free_slot, 1}).error().code,
            ErrorCode::not_found);
}

TEST(CompareOne, ReadsTheScoreOfOneReference) {
  People people(kDimension);
  const Embedding person = people.next();
  for (const float similarity : {0.9f, 0.3f, 0.0f, -0.4f}) {
    const Embedding other = people.next_near(person, similarity);
    const Search search =
        must(compare_one(*tenant().keys, tenant().probe(person), 77, tenant().reference(other)));
    ASSERT_EQ(search.request.blocks.size(), 1u);
    size_t live = 0;
    for (size_t j = 0; j < kDegree; ++j) live += is_live(search.request.blocks[0].live, j);
    EXPECT_EQ(live, 1u);
    const ScoreReader scores = tenant().read(search.request);
    ASSERT_TRUE(scores.best().has_value());
    EXPECT_EQ(must(search.map.slot(scores.best()->position)), 77u);
    EXPECT_NEAR(scores.best()->score, People::inner_product(person, other), 7e-5);
  }
}

// Everything but the live coefficients must look uniform to the holder of the key: without masks,
// the other coefficients are correlations of templates.
TEST(Masks, OtherCoefficientsAreUniform) {
  People people(kDimension);
  TestGallery test;
  for (uint64_t slot = 0; slot < 8; ++slot) test.insert(slot, people.next());
  const SwitchedProbe probe = tenant().probe(people.next());
  constexpr size_t kBins = 16;
  std::array<double, kBins> counts{};
  const uint32_t modulus = tenant().parameters.ring().primes()[0];
  size_t total = 0;
  for (int i = 0; i < 8; ++i) {
    const Search search = must(test.gallery.search(probe));
    const std::vector<uint32_t> residues = tenant().decrypt(search.request.blocks[0]);
    for (size_t j = 0; j < kDegree; ++j) {
      if (is_live(search.request.blocks[0].live, j)) continue;
      counts[uint64_t{residues[j]} * kBins / modulus] += 1;
      ++total;
    }
  }
  double chi_squared = 0;
  const double expected = static_cast<double>(total) / kBins;
  for (const double count : counts)
    chi_squared += (count - expected) * (count - expected) / expected;
  EXPECT_LT(chi_squared, 50);  // 15 degrees of freedom: one run in 100,000 exceeds it
}

// The search of the same probe twice: rotations, and so positions, differ; the sign of a live
// coefficient is as good as random.
TEST(Masks, PositionsAndSignsChangeFromRequestToRequest) {
  People people(kDimension);
  TestGallery test;
  test.insert(0, people.next());
  const SwitchedProbe probe = tenant().probe(test.people[0]);
  std::set<uint32_t> positions;
  int negative = 0;
  constexpr int kRequests = 32;
  const uint32_t modulus = tenant().parameters.ring().primes()[0];
  for (int i = 0; i < kRequests; ++i) {
    const Search search = must(test.gallery.search(probe));
    const ScoreReader scores = tenant().read(search.request);
    const uint32_t position = scores.best()->position.coefficient;
    positions.insert(position);
    negative += tenant().decrypt(search.request.blocks[0])[position] > modulus / 2 ? 1 : 0;
  }
  EXPECT_GT(positions.size(), 28u);
  EXPECT_GT(negative, 2);
  EXPECT_LT(negative, kRequests - 2);
}

TEST(Masks, BlocksComeInRandomOrder) {
  People people(kDimension);
  TestGallery test;
  for (uint64_t block = 0; block < 4; ++block) test.insert(block * kDegree, people.next());
  std::set<uint32_t> seen;
  for (int i = 0; i < 24; ++i) {
    const Search search = must(test.gallery.search(tenant().probe(test.people[0])));
    seen.insert(tenant().read(search.request).best()->position.block);
  }
  EXPECT_EQ(seen.size(), 4u);
}

}  // namespace
}  // namespace bauta::match
