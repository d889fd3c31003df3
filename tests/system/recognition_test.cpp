// The way of a template through the three parties: what is recognised, and what is refused.

#include <atomic>
#include <set>
#include <thread>

#include "tests/system/forwarding_auth.h"
#include "tests/system/parties.h"

namespace bauta {
namespace {

class RecognitionTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    edge_ = parties_->make_edge();
    for (unsigned person = 0; person < 6; ++person)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
  }

  v1::Gallery stats() {
    v1::GetGalleryRequest request;
    request.set_gallery("gallery");
    auto gallery = parties_->auth->get_gallery(request);
    EXPECT_TRUE(gallery.ok());
    return *gallery;
  }

  std::unique_ptr<edge::Edge> edge_;
};

TEST_F(RecognitionTest, TheEnrolledAreIdentifiedAndOthersAreNot) {
  for (unsigned person = 0; person < 6; ++person) {
    const auto known = edge_->identify("gallery", make_embedding(person, 1));
    ASSERT_TRUE(known.ok()) << known.error().message;
    EXPECT_EQ(known->decision, v1::DECISION_ACCEPTED);
    EXPECT_EQ(known->subject, subject_name(person));
    const auto unknown = edge_->identify("gallery", make_embedding(100 + person));
    ASSERT_TRUE(unknown.ok());
    EXPECT_EQ(unknown->decision, v1::DECISION_REJECTED);
    EXPECT_EQ(unknown->subject, "");
  }
}

TEST_F(RecognitionTest, VerificationComparesWithTheClaimedSubjectAlone) {
  const auto right = edge_->verify("gallery", subject_name(2), make_embedding(2, 1));
  ASSERT_TRUE(right.ok()) << right.error().message;
  EXPECT_EQ(right->decision, v1::DECISION_ACCEPTED);
  const auto wrong = edge_->verify("gallery", subject_name(3), make_embedding(2, 1));
  ASSERT_TRUE(wrong.ok());
  EXPECT_EQ(wrong->decision, v1::DECISION_REJECTED);
}

TEST_F(RecognitionTest, ScoresStayInsideUnlessTheKeyIsForEvaluation) {
  const auto known = edge_->identify("gallery", make_embedding(1, 1));
  ASSERT_TRUE(known.ok());
  EXPECT_EQ(known->evaluation_score, 0);
  EXPECT_EQ(known->evaluation_candidate, "");
}

TEST_F(RecognitionTest, MoreThanOneCandidateIsNamedWhereTheKeyAllowsIt) {
  const auto one = edge_->identify("gallery", make_embedding(1, 1), 5);
  ASSERT_TRUE(one.ok()) << one.error().message;
  EXPECT_EQ(one->candidates, std::vector<std::string>{subject_name(1)});

  const auto key = parties_->key->store().create("many", false, {.candidates = 3}).value();
  ASSERT_TRUE(parties_->key->store().activate(key.id).ok());
  parties_->create_gallery("many", "many");
  const auto edge = parties_->make_edge("edge-1", "many");
  // Four subjects with one face, and somebody else.
  for (const char* twin : {"a", "b", "c", "d"}) {
    const face::Embedding photo = make_embedding(1, static_cast<unsigned>(twin[0]));
    ASSERT_TRUE(edge->enroll("many", twin, std::span(&photo, 1)).ok());
  }
  ASSERT_TRUE(enroll(*edge, "many", 2).ok());
  const auto three = edge->identify("many", make_embedding(1, 1), 10);
  ASSERT_TRUE(three.ok()) << three.error().message;
  ASSERT_EQ(three->candidates.size(), 3u);
  EXPECT_EQ(three->candidates[0], three->subject);
  EXPECT_EQ(std::set<std::string>(three->candidates.begin(), three->candidates.end()).size(), 3u);
  EXPECT_EQ(edge->identify("many", make_embedding(1, 1), 2)->candidates.size(), 2u);
  EXPECT_TRUE(edge->identify("many", make_embedding(1, 1))->candidates.empty());
  EXPECT_TRUE(edge->identify("many", make_embedding(50, 1), 10)->candidates.empty());
}

TEST_F(RecognitionTest, AnErasedSubjectIsNotFoundAgain) {
  v1::EraseRequest request;
  request.set_gallery("gallery");
  request.set_subject(subject_name(4));
  const auto erased = parties_->auth->erase(request);
  ASSERT_TRUE(erased.ok()) << erased.error().message;
  EXPECT_EQ(erased->references(), 1u);
  EXPECT_EQ(edge_->identify("gallery", make_embedding(4, 1))->decision, v1::DECISION_REJECTED);
  EXPECT_EQ(edge_->identify("gallery", make_embedding(5, 1))->subject, subject_name(5));
  EXPECT_EQ(parties_->auth->erase(request).error().code, ErrorCode::not_found);
}

TEST_F(RecognitionTest, ASubjectMayHaveSeveralReferences) {
  const std::vector<face::Embedding> photos = {make_embedding(30, 0), make_embedding(31, 0)};
  ASSERT_TRUE(edge_->enroll("gallery", "two-photos", photos).ok());
  EXPECT_EQ(edge_->identify("gallery", make_embedding(31, 1))->subject, "two-photos");
  EXPECT_EQ(edge_->verify("gallery", "two-photos", make_embedding(30, 1))->decision,
            v1::DECISION_ACCEPTED);
}

TEST_F(RecognitionTest, AnEmptyGalleryRejects) {
  parties_->create_gallery("empty");
  const auto nobody = edge_->identify("empty", make_embedding(1));
  ASSERT_TRUE(nobody.ok()) << nobody.error().message;
  EXPECT_EQ(nobody->decision, v1::DECISION_REJECTED);
}

TEST_F(RecognitionTest, TwoServersOnOneDirectorySeeEachOthersChanges) {
  auto other = auth::AuthServer::open(directory_ / "auth", *parties_->key);
  ASSERT_TRUE(other.ok());
  const auto other_edge = parties_->make_edge("edge-1", "tenant", "fake", true, other->get());
  ASSERT_TRUE(enroll(*other_edge, "gallery", 50).ok());
  EXPECT_EQ(edge_->identify("gallery", make_embedding(50, 1))->subject, subject_name(50));
  v1::EraseRequest request;
  request.set_gallery("gallery");
  request.set_subject(subject_name(50));
  ASSERT_TRUE((*other)->erase(request).ok());
  EXPECT_EQ(edge_->identify("gallery", make_embedding(50, 1))->decision, v1::DECISION_REJECTED);
  ASSERT_TRUE(enroll(*other_edge, "gallery", 51).ok());
  EXPECT_EQ(edge_->identify("gallery", make_embedding(51, 1))->subject, subject_name(51));
}

// --- What is refused changes nothing

TEST_F(RecognitionTest, SearchesRunBesideEnrolmentsAndErasures) {
  std::atomic<bool> stop = false;
  std::atomic<int> answers = 0, wrong = 0;
  std::vector<std::unique_ptr<edge::Edge>> edges;
  std::vector<std::thread> searches;
  for (unsigned client = 0; client < 3; ++client) {
    edges.push_back(parties_->make_edge());
    searches.emplace_back([&, edge = edges.back().get(), client] {
      for (unsigned photo = 1; !stop; ++photo) {
        const auto known = edge->identify("gallery", make_embedding(client, photo));
        wrong += !known.ok() || known->subject != subject_name(client);
        ++answers;
      }
    });
  }
  for (unsigned person = 10; person < 40; ++person) {
    EXPECT_TRUE(enroll(*edge_, "gallery", person).ok());
    const auto found = edge_->identify("gallery", make_embedding(person, 1));
    EXPECT_TRUE(found.ok() && found->subject == subject_name(person));
    if (person % 2 == 0) continue;
    v1::EraseRequest erase;
    erase.set_gallery("gallery");
    erase.set_subject(subject_name(person));
    EXPECT_TRUE(parties_->auth->erase(erase).ok());
    const auto erased = edge_->identify("gallery", make_embedding(person, 1));
    EXPECT_TRUE(erased.ok() && erased->decision == v1::DECISION_REJECTED);
  }
  stop = true;
  for (std::thread& search : searches) search.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(answers, 0);
}

TEST_F(RecognitionTest, TheSameSubjectTwiceIsRefused) {
  EXPECT_EQ(enroll(*edge_, "gallery", 3).error().code, ErrorCode::already_exists);
  EXPECT_EQ(stats().references(), 6u);
}

TEST_F(RecognitionTest, AnUnknownGalleryOrSubjectIsNamed) {
  const auto gallery = edge_->identify("nowhere", make_embedding(1));
  ASSERT_FALSE(gallery.ok());
  EXPECT_EQ(gallery.error().code, ErrorCode::not_found);
  EXPECT_NE(gallery.error().message.find("nowhere"), std::string::npos);
  const auto subject = edge_->verify("gallery", "nobody", make_embedding(1));
  ASSERT_FALSE(subject.ok());
  EXPECT_EQ(subject.error().code, ErrorCode::not_found);
  EXPECT_NE(subject.error().message.find("nobody"), std::string::npos);
}

TEST_F(RecognitionTest, EmbeddingsOfAnotherContractAreRefused) {
  const auto other = parties_->make_edge("edge-1", "tenant", "another-engine");
  EXPECT_EQ(other->identify("gallery", make_embedding(1)).error().code, ErrorCode::mismatch);
  EXPECT_EQ(enroll(*other, "gallery", 9).error().code, ErrorCode::mismatch);
  EXPECT_EQ(stats().references(), 6u);
}

TEST_F(RecognitionTest, AnEdgeThatWasNotAdmittedIsRefused) {
  const auto stranger = parties_->make_edge("edge-2", "tenant", "fake", /*admit=*/false);
  EXPECT_FALSE(stranger->identify("gallery", make_embedding(1)).ok());
  EXPECT_FALSE(enroll(*stranger, "gallery", 9).ok());
  EXPECT_EQ(stats().references(), 6u);
}

TEST_F(RecognitionTest, ARevokedEdgeIsRefused) {
  const auto second = parties_->make_edge("edge-2");
  ASSERT_TRUE(second->identify("gallery", make_embedding(1, 1)).ok());
  ASSERT_TRUE(parties_->auth->revoke_edge("edge-2").ok());
  EXPECT_EQ(second->identify("gallery", make_embedding(1, 1)).error().code, ErrorCode::refused);
  EXPECT_TRUE(edge_->identify("gallery", make_embedding(1, 1)).ok());
}

TEST_F(RecognitionTest, CiphertextsUnderAnotherTenantsKeyAreRefused) {
  // An edge of tenant B that claims to be the admitted edge of tenant A.
  const auto foreign = parties_->make_edge("edge-1", "tenant-b");
  EXPECT_EQ(foreign->identify("gallery", make_embedding(1)).error().code, ErrorCode::refused);
  EXPECT_EQ(enroll(*foreign, "gallery", 9).error().code, ErrorCode::refused);
  EXPECT_EQ(stats().references(), 6u);
}

// Passes requests on after damaging the ciphertexts in them.
class DamagingAuth final : public ForwardingAuth {
 public:
  using Damage = std::function<void(std::string&)>;
  DamagingAuth(AuthService& auth, Damage damage)
      : ForwardingAuth(auth), damage_(std::move(damage)) {}

  Result<v1::EnrolReply> enrol(const v1::EnrolRequest& r) override {
    v1::EnrolRequest damaged = r;
    damage_(*damaged.mutable_references(damaged.references_size() - 1));
    return ForwardingAuth::enrol(damaged);
  }
  Result<v1::IdentifyReply> identify(const v1::IdentifyRequest& r) override {
    v1::IdentifyRequest damaged = r;
    damage_(*damaged.mutable_probe());
    return ForwardingAuth::identify(damaged);
  }
  Result<v1::VerifyReply> verify(const v1::VerifyRequest& r) override {
    v1::VerifyRequest damaged = r;
    damage_(*damaged.mutable_probe());
    return ForwardingAuth::verify(damaged);
  }

 private:
  Damage damage_;
};

TEST_F(RecognitionTest, DamagedCiphertextsAreRefused) {
  const std::pair<const char*, DamagingAuth::Damage> damages[] = {
      {"empty", [](std::string& bytes) { bytes.clear(); }},
      {"truncated", [](std::string& bytes) { bytes.resize(bytes.size() / 2); }},
      {"one byte short", [](std::string& bytes) { bytes.pop_back(); }},
      {"bit flipped", [](std::string& bytes) { bytes[bytes.size() / 2] ^= 1; }},
      {"oversized", [](std::string& bytes) { bytes += std::string(1 << 20, 'x'); }},
      {"not ours", [](std::string& bytes) { bytes.assign(40'000, 'x'); }},
  };
  for (const auto& [name, damage] : damages) {
    SCOPED_TRACE(name);
    DamagingAuth auth(*parties_->auth, damage);
    const auto edge = parties_->make_edge("edge-1", "tenant", "fake", true, &auth);
    for (const auto& result : {edge->identify("gallery", make_embedding(1)),
                               edge->verify("gallery", subject_name(1), make_embedding(1))}) {
      ASSERT_FALSE(result.ok());
      EXPECT_EQ(result.error().code, ErrorCode::corrupt) << result.error().message;
    }
    // The first reference of two is sound: still neither is enrolled.
    const std::vector<face::Embedding> photos = {make_embedding(9, 0), make_embedding(9, 1)};
    EXPECT_FALSE(edge->enroll("gallery", subject_name(9), photos).ok());
    EXPECT_EQ(stats().references(), 6u);
  }
}

TEST_F(RecognitionTest, EmbeddingsThatAreNoUnitVectorsAreRefused) {
  face::Embedding zero(kTestDimension), doubled = make_embedding(1), nan = make_embedding(1),
                                        shorter = make_embedding(1);
  for (float& value : doubled) value *= 2;
  nan[3] = std::nanf("");
  shorter.pop_back();
  for (const face::Embedding& embedding : {zero, doubled, nan, shorter}) {
    const auto result = edge_->identify("gallery", embedding);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << result.error().message;
  }
}

TEST_F(RecognitionTest, ADestroyedKeyEndsRecognition) {
  const auto id = key::parse_key_id(parties_->tenant_key());
  ASSERT_TRUE(parties_->key->store().destroy(*id).ok());
  const auto result = edge_->identify("gallery", make_embedding(1, 1));
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().message.find("destroyed"), std::string::npos) << result.error().message;
}

}  // namespace
}  // namespace bauta
