// Segments, the tail and erasure, as they lie in the files.

#include <fstream>

#include "base/file.h"
#include "secret/encryption.h"
#include "services/auth/compaction.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;

class SegmentsTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    edge_ = parties_->make_edge();
  }

  void enroll_people(unsigned begin, unsigned end, unsigned step = 1) {
    for (unsigned person = begin; person < end; person += step)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
  }
  void erase(unsigned person) {
    v1::EraseRequest request;
    request.set_gallery("gallery");
    request.set_subject(subject_name(person));
    const auto erased = parties_->auth->erase(request);
    ASSERT_TRUE(erased.ok()) << erased.error().message;
  }
  void compact() {
    const auto compacted = parties_->auth->compact("gallery");
    ASSERT_TRUE(compacted.ok()) << compacted.error().message;
  }
  // The server's process ends and another begins.
  void restart() {
    edge_.reset();
    parties_.reset();
    parties_ = std::make_unique<Parties>(directory_);
    edge_ = parties_->make_edge();
  }
  std::string identify(unsigned person) {
    const auto found = edge_->identify("gallery", make_embedding(person, 1));
    return found.ok() ? found->subject : found.error().message;
  }
  v1::Gallery stats() {
    v1::GetGalleryRequest request;
    request.set_gallery("gallery");
    return *parties_->auth->get_gallery(request);
  }
  // Whether some piece of one of these is in a file under the directory.
  bool is_in_a_file(const std::vector<Bytes>& ciphertexts) const {
    for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
      if (!entry.is_regular_file()) continue;
      const Bytes bytes = *read_file(entry.path(), size_t{1} << 30);
      for (const ByteView ciphertext : ciphertexts)
        for (const size_t at : {size_t{200}, ciphertext.size() / 2, ciphertext.size() - 40})
          if (as_text(bytes).find(as_text(ciphertext.subspan(at, 24))) != std::string_view::npos)
            return true;
    }
    return false;
  }
  // The reference at a coefficient of an imported block, as who has the key can read it.
  std::vector<double> decrypt(const fs::path& file, size_t coefficient) const {
    const match::Parameters parameters = *match::Parameters::create(kTestDimension);
    const keys::KeyId id = *key::parse_key_id(parties_->tenant_key());
    const auto key = secret::SecretKey::expand(
        parameters.ring(), *parties_->key->store().derive(id, key::kTenantPurpose),
        key::kTenantPurpose);
    const auto segment = *store::MappedSegment::open(file);
    const match::TiledCiphertexts images(match::SharedWords{segment->images(), segment});
    const ring::Basis basis = parameters.ring().ciphertext_moduli();
    const double q0 = basis.modulus(0).value();
    std::vector<double> reference(kTestDimension);
    for (size_t u = 0; u < images.count(); ++u) {
      auto c0 = ring::EvaluationPolynomial::uninitialised(basis), c1 = c0.clone();
      images.get(u, c0, c1);
      const auto message = secret::decrypt(
          *key, {to_coefficient(std::move(c0)), to_coefficient(std::move(c1)), 1, key->id()});
      for (size_t t = 0; t < reference.size(); ++t) {
        const size_t at = coefficient + t * parameters.stride() * (2 * u + 1);
        const double residue = message->limb(0)[at % match::kDegree];
        const double value = residue > q0 / 2 ? residue - q0 : residue;
        reference[t] += at / match::kDegree % 2 == 0 ? value : -value;
      }
    }
    for (double& entry : reference)
      entry /= static_cast<double>(images.count()) * parameters.reference_scale();
    return reference;
  }
  fs::path folder() const { return directory_ / "auth/segments/1"; }
  std::map<std::string, Bytes> segment_files() const {
    std::map<std::string, Bytes> files;
    for (const auto& entry : fs::directory_iterator(folder()))
      if (entry.path().filename() != "lock")
        files[entry.path().filename()] = *read_file(entry.path(), size_t{1} << 30);
    return files;
  }

  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(SegmentsTest, AServerStartsFromSegmentsAndItsTail) {
  enroll_people(0, 10);
  compact();
  EXPECT_EQ(stats().tail(), 0u);
  EXPECT_EQ(stats().blocks(), 1u);
  enroll_people(10, 13);
  EXPECT_EQ(stats().tail(), 3u);
  restart();
  for (unsigned person = 0; person < 13; ++person)
    EXPECT_EQ(identify(person), subject_name(person));
  EXPECT_EQ(identify(99), "");
  compact();
  EXPECT_EQ(stats().tail(), 0u);
  for (unsigned person = 0; person < 13; ++person)
    EXPECT_EQ(identify(person), subject_name(person));
}

TEST_F(SegmentsTest, EnrolmentsAreCompactedInTheBackground) {
  enroll_people(0, auth::kCompactAfterChanges + 5);
  restart();  // waits for what is due
  EXPECT_EQ(stats().blocks(), 1u);
  EXPECT_LE(stats().tail(), 6u);
  EXPECT_EQ(identify(auth::kCompactAfterChanges), subject_name(auth::kCompactAfterChanges));
}

// What is live, laid out as if nothing else had ever been there.
Bytes laid_out_anew(const fs::path& server_directory, const match::EvaluationKeys& keys) {
  auto catalogue = store::Catalogue::open(server_directory / "catalogue.sqlite");
  const store::Gallery gallery = *catalogue->find_gallery("gallery");
  std::map<uint32_t, match::StoredReference> originals;
  EXPECT_TRUE(catalogue
                  ->for_each_live(gallery,
                                  [&](const store::ReferenceView& view) {
                                    originals.emplace(view.position,
                                                      *match::parse_stored_reference(
                                                          keys.parameters(), view.original));
                                    return Status{};
                                  })
                  .ok());
  match::Block block(keys.parameters(),
                     match::folding_for(keys.parameters(), originals.rbegin()->first));
  for (const auto& [position, original] : originals) block.add(position, original.ciphertext);
  EXPECT_TRUE(block.prepare(keys).ok());
  store::SegmentContent content = auth::segment_content(gallery, keys, 0, /*bulk=*/false);
  content.live = block.live_positions();
  return store::make_segment(content, {block.images().words()}, block.sums());
}

TEST_F(SegmentsTest, ErasureLeavesSegmentsAsIfNobodyHadEverBeenThereAndNoCiphertextBehind) {
  // A and B interleaved, then a crowd of B that makes the block wider.
  enroll_people(0, 20);
  std::vector<face::Embedding> crowd;
  for (unsigned photo = 0; photo < 250; ++photo) crowd.push_back(make_embedding(1000, photo));
  ASSERT_TRUE(edge_->enroll("gallery", subject_name(1000), crowd).ok());
  std::vector<unsigned> erased = {1000};
  for (unsigned person = 1; person < 20; person += 2) erased.push_back(person);
  compact();
  std::vector<Bytes> erased_ciphertexts, kept;
  {
    auto catalogue = store::Catalogue::open(directory_ / "auth/catalogue.sqlite");
    const store::Gallery gallery = *catalogue->find_gallery("gallery");
    kept.push_back(*catalogue->read_original(
        gallery, catalogue->find_subject(gallery, subject_name(2))->references.front().id));
    for (const unsigned person : erased) {
      const store::Subject subject = *catalogue->find_subject(gallery, subject_name(person));
      for (const store::Reference& reference : subject.references)
        erased_ciphertexts.push_back(*catalogue->read_original(gallery, reference.id));
    }
  }
  const size_t bytes_before = segment_files().begin()->second.size();
  for (const unsigned person : erased) erase(person);
  restart();
  compact();

  const match::Parameters parameters = *match::Parameters::create(kTestDimension);
  const std::string stem = (directory_ / "auth/keys" / parties_->tenant_key()).string() + "-64";
  const auto keys = match::EvaluationKeys::open(
      parameters, stem + ".galois", *read_file(stem + ".relinearization", size_t{1} << 24));
  const auto files = segment_files();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_LT(files.begin()->second.size(), bytes_before);
  EXPECT_TRUE(files.begin()->second == laid_out_anew(directory_ / "auth", **keys));

  // No piece of an erased ciphertext is in any file, and the search finds those that are.
  EXPECT_TRUE(is_in_a_file(kept));
  EXPECT_FALSE(is_in_a_file(erased_ciphertexts));
  EXPECT_EQ(identify(1), "");
  EXPECT_EQ(identify(2), subject_name(2));
  EXPECT_EQ(stats().references(), 10u);
}

TEST_F(SegmentsTest, AnErasedPersonIsNotFoundWhateverElseHappens) {
  enroll_people(0, 20);
  compact();
  EXPECT_EQ(identify(7), subject_name(7));
  {
    // Erased by a process that ended before it could compact.
    auto catalogue = store::Catalogue::open(directory_ / "auth/catalogue.sqlite");
    ASSERT_TRUE(
        catalogue->erase_subject(*catalogue->find_gallery("gallery"), subject_name(7)).ok());
  }
  EXPECT_EQ(identify(7), "");
  enroll_people(20, 21);
  EXPECT_EQ(identify(20), subject_name(20));
  restart();
  compact();
  EXPECT_EQ(identify(7), "");
  EXPECT_EQ(identify(8), subject_name(8));
  enroll_people(30, 31);  // takes the free position
  EXPECT_EQ(identify(30), subject_name(30));
  EXPECT_EQ(stats().erased(), 0u);
}

TEST_F(SegmentsTest, ADeletedGalleryLeavesNoFiles) {
  enroll_people(0, 3);
  compact();
  EXPECT_TRUE(fs::exists(folder()));
  v1::DeleteGalleryRequest request;
  request.set_gallery("gallery");
  ASSERT_TRUE(parties_->auth->delete_gallery(request).ok());
  EXPECT_FALSE(fs::exists(folder()));
}

// The largest difference between two templates.
double difference(const std::vector<double>& found, const face::Embedding& expected) {
  double largest = 0;
  for (size_t t = 0; t < found.size(); ++t)
    largest = std::max(largest, std::abs(found[t] - double{expected[t]}));
  return largest;
}

TEST_F(SegmentsTest, RewritingTakesWhoWasErasedOutOfAnImportedBlock) {
  ASSERT_TRUE(import_people(*parties_, *edge_, "gallery", 0, 130).ok());
  enroll_people(200, 203);
  compact();
  const std::string before = stats().blocks() == 2 ? segment_files().begin()->first : "";
  const Bytes bytes = *read_file(folder() / before, size_t{1} << 30);
  EXPECT_LT(difference(decrypt(folder() / before, 67), make_embedding(67)), 1e-5);
  const std::vector<unsigned> erased = {3, 67, 129};  // two of these share their coefficients
  for (const unsigned person : erased) erase(person);
  compact();
  EXPECT_LT(difference(decrypt(folder() / before, 67), make_embedding(67)), 1e-5);  // still there

  const auto done = rewrite(*parties_, "gallery");
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(done->references, 3u);
  EXPECT_EQ(done->rewritten, 1u);
  const std::string after = segment_files().begin()->first;
  EXPECT_NE(after, before);
  for (const unsigned person : erased)
    EXPECT_LT(difference(decrypt(folder() / after, person), face::Embedding(kTestDimension)), 1e-7);
  for (const unsigned person : {0u, 66u, 68u, 128u})
    EXPECT_LT(difference(decrypt(folder() / after, person), make_embedding(person)), 1e-5);
  EXPECT_FALSE(is_in_a_file({Bytes(bytes.begin() + 4096, bytes.end())}));

  const auto check = [&] {
    for (unsigned person = 0; person < 130; person += 5)
      EXPECT_EQ(identify(person), subject_name(person));
    EXPECT_EQ(identify(201), subject_name(201));
    for (const unsigned person : erased) EXPECT_EQ(identify(person), "");
  };
  check();
  restart();
  check();
  // Nothing is left to do, and single enrolments keep out of the block.
  EXPECT_EQ(rewrite(*parties_, "gallery")->references, 0u);
  EXPECT_EQ(segment_files().begin()->first, after);
  enroll_people(210, 212);
  check();
  EXPECT_EQ(identify(211), subject_name(211));
  const Status checked = store::Catalogue::open(directory_ / "auth/catalogue.sqlite")->check();
  EXPECT_TRUE(checked.ok()) << checked.error().message;
  // Who is left goes too, and the block with them.
  for (unsigned person = 0; person < 130; ++person)
    if (std::ranges::find(erased, person) == erased.end()) erase(person);
  EXPECT_EQ(rewrite(*parties_, "gallery")->dropped, 1u);
  EXPECT_EQ(stats().blocks(), 1u);
  EXPECT_EQ(identify(5), "");
  EXPECT_EQ(identify(201), subject_name(201));
}

TEST_F(SegmentsTest, ADamagedBlockIsNotRewritten) {
  ASSERT_TRUE(import_people(*parties_, *edge_, "gallery", 0, 4).ok());
  erase(2);
  fs::resize_file(folder() / segment_files().begin()->first, 5000);
  const auto done = rewrite(*parties_, "gallery");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, ErrorCode::corrupt);
  EXPECT_NE(done.error().message.find("gallery repair"), std::string::npos);
}

// What an interruption between the change and the end leaves.
TEST_F(SegmentsTest, AFileThatNoRowNamesIsGoneAfterAStart) {
  ASSERT_TRUE(import_people(*parties_, *edge_, "gallery", 0, 4).ok());
  std::ofstream(folder() / "0000-left.segment") << "what was erased";
  restart();
  restart();  // waits for what is due
  EXPECT_EQ(segment_files().size(), 1u);
}

}  // namespace
}  // namespace bauta
