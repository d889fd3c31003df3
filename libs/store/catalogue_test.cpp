#include "store/catalogue.h"

#include <map>
#include <thread>

#include "store/schema.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

std::vector<uint32_t> positions(const std::vector<Reference>& references) {
  std::vector<uint32_t> positions;
  for (const Reference& reference : references) positions.push_back(reference.position);
  return positions;
}

// Applies the stream as a server does and returns the generation to go on from.
uint64_t follow(Catalogue& catalogue, const Gallery& gallery, uint64_t since,
                std::map<uint32_t, std::pair<std::string, Bytes>>& state) {
  auto until = catalogue.for_each_reference(gallery, since, [&](const ReferenceView& view) {
    if (view.live)
      state[view.position] = {std::string(view.subject),
                              Bytes(view.original.begin(), view.original.end())};
    else
      state.erase(view.position);
    return Status{};
  });
  EXPECT_TRUE(until.ok());
  return *until;
}

TEST_F(CatalogueTest, AGalleryIsFoundAsItWasMadeAlsoAfterReopening) {
  int64_t id = 0;
  {
    Catalogue catalogue = open();
    auto created = catalogue.create_gallery(new_gallery());
    ASSERT_TRUE(created.ok()) << created.error().message;
    id = created->id;
  }
  auto gallery = open().find_gallery("doors");
  ASSERT_TRUE(gallery.ok()) << gallery.error().message;
  EXPECT_EQ(gallery->id, id);
  EXPECT_EQ(gallery->name, "doors");
  EXPECT_EQ(gallery->key_id, "key-1");
  EXPECT_EQ(gallery->contract, "an embedding contract");
  EXPECT_EQ(gallery->contract_digest, sha256(as_bytes("an embedding contract")));
  EXPECT_EQ(gallery->dimension, 128u);
  EXPECT_GT(gallery->created_at_ms, 0);
  EXPECT_EQ(gallery->generation, 0u);
}

TEST_F(CatalogueTest, TheFileIsForItsOwnerAlone) {
  Catalogue catalogue = open();
  ASSERT_TRUE(catalogue.create_gallery(new_gallery()).ok());
  for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
    EXPECT_EQ(entry.status().permissions(),
              std::filesystem::perms::owner_read | std::filesystem::perms::owner_write)
        << entry.path();
}

TEST_F(CatalogueTest, GalleriesAreListedByName) {
  Catalogue catalogue = open();
  EXPECT_TRUE(catalogue.list_galleries()->empty());
  for (const char* name : {"park", "doors", "till"})
    ASSERT_TRUE(catalogue.create_gallery(new_gallery(name)).ok());
  std::vector<std::string> names;
  const std::vector<Gallery> galleries = *catalogue.list_galleries();
  for (const Gallery& gallery : galleries) names.push_back(gallery.name);
  EXPECT_EQ(names, (std::vector<std::string>{"doors", "park", "till"}));
}

TEST_F(CatalogueTest, CreateFailsIfTheNameIsTakenOrAFieldIsOutsideItsLimits) {
  Catalogue catalogue = open();
  ASSERT_TRUE(catalogue.create_gallery(new_gallery()).ok());
  EXPECT_EQ(catalogue.create_gallery(new_gallery()).error().code, ErrorCode::already_exists);

  std::vector<NewGallery> wrong(7, new_gallery("park"));
  wrong[0].name = "";
  wrong[1].name = "a/b";
  wrong[2].key_id = "";
  wrong[3].contract = "";
  wrong[4].contract = std::string(kMaxContractBytes + 1, 'x');
  wrong[5].dimension = 0;
  wrong[6].dimension = kMaxDimension + 1;
  for (const NewGallery& gallery : wrong)
    EXPECT_EQ(catalogue.create_gallery(gallery).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.list_galleries()->size(), 1u);
  EXPECT_EQ(catalogue.audit_head()->sequence, 1u);
}

TEST_F(CatalogueTest, AnUnknownGalleryIsNotFound) {
  Catalogue catalogue = open();
  EXPECT_EQ(catalogue.find_gallery("doors").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.delete_gallery("doors").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.find_gallery("a b").error().code, ErrorCode::invalid_argument);
}

TEST_F(CatalogueTest, ADeletedGalleryIsGoneForThoseWhoHoldIt) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const auto references = catalogue.enrol(gallery, "anna", std::vector<Bytes>{original_bytes(1)});
  ASSERT_TRUE(references.ok());
  const auto erasure = catalogue.delete_gallery("doors");
  ASSERT_TRUE(erasure.ok()) << erasure.error().message;
  EXPECT_EQ(erasure->references, 1u);
  EXPECT_TRUE(erasure->bytes_gone);

  const Gallery again = *catalogue.create_gallery(new_gallery());
  EXPECT_NE(again.id, gallery.id);
  EXPECT_EQ(catalogue.generation(gallery).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.stats(gallery).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.find_subject(gallery, "anna").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.erase_subject(gallery, "anna").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.list_subjects(gallery).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.read_original(gallery, references->front().id).error().code,
            ErrorCode::not_found);
  EXPECT_EQ(catalogue.enrol(gallery, "ben", std::vector<Bytes>{original_bytes(2)}).error().code,
            ErrorCode::not_found);
  EXPECT_EQ(catalogue.for_each_reference(gallery, 0, [](auto&) { return Status{}; }).error().code,
            ErrorCode::not_found);
  EXPECT_TRUE(catalogue.list_subjects(again)->empty());
  EXPECT_TRUE(catalogue.check().ok());
}

TEST_F(CatalogueTest, EnrolledReferencesAreFoundWithTheirBytes) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const std::vector<Bytes> originals = {original_bytes(1, kRealOriginalBytes), original_bytes(2)};
  const auto references = catalogue.enrol(gallery, "anna", originals);
  ASSERT_TRUE(references.ok()) << references.error().message;
  EXPECT_EQ(positions(*references), (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(positions(*catalogue.enrol(gallery, "ben", std::vector<Bytes>{original_bytes(3)})),
            std::vector<uint32_t>{2});

  Catalogue reopened = open();
  const auto anna = reopened.find_subject(gallery, "anna");
  ASSERT_TRUE(anna.ok()) << anna.error().message;
  EXPECT_EQ(anna->name, "anna");
  ASSERT_EQ(anna->references.size(), 2u);
  for (size_t i = 0; i < originals.size(); ++i) {
    EXPECT_EQ(anna->references[i].id, (*references)[i].id);
    EXPECT_EQ(*reopened.read_original(gallery, anna->references[i].id), originals[i]);
  }
  EXPECT_EQ(*reopened.list_subjects(gallery), (std::vector<std::string>{"anna", "ben"}));
  const auto stats = reopened.stats(gallery);
  EXPECT_EQ(stats->subjects, 2u);
  EXPECT_EQ(stats->references, 3u);
  EXPECT_EQ(stats->erased, 0u);
  EXPECT_EQ(stats->original_bytes, kRealOriginalBytes + 2000);
}

TEST_F(CatalogueTest, TheSameSubjectTwiceIsRefusedUnlessReferencesAreAdded) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const std::vector<Bytes> originals = {original_bytes(1)};
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", originals).ok());
  EXPECT_EQ(catalogue.enrol(gallery, "anna", originals).error().code, ErrorCode::already_exists);
  EXPECT_EQ(catalogue.find_subject(gallery, "anna")->references.size(), 1u);
  EXPECT_TRUE(catalogue.enrol(gallery, "anna", originals, IfEnrolled::add).ok());
  EXPECT_EQ(catalogue.find_subject(gallery, "anna")->references.size(), 2u);
  EXPECT_TRUE(catalogue.enrol(gallery, "ben", originals, IfEnrolled::add).ok());
  const Gallery park = *catalogue.create_gallery(new_gallery("park"));
  EXPECT_TRUE(catalogue.enrol(park, "anna", originals).ok());
}

TEST_F(CatalogueTest, EnrolFailsOutsideTheLimitsAndChangesNothing) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const std::vector<Bytes> one = {original_bytes(1)};
  const std::vector<Bytes> many(kMaxReferencesPerSubject, original_bytes(1, 10));
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", many).ok());
  const AuditHead head = *catalogue.audit_head();

  const auto code = [&](std::string_view subject, const std::vector<Bytes>& originals) {
    return catalogue.enrol(gallery, subject, originals, IfEnrolled::add).error().code;
  };
  EXPECT_EQ(code("anna", one), ErrorCode::invalid_argument);
  EXPECT_EQ(code("", one), ErrorCode::invalid_argument);
  EXPECT_EQ(code("../ben", one), ErrorCode::invalid_argument);
  EXPECT_EQ(code("ben", {}), ErrorCode::invalid_argument);
  EXPECT_EQ(code("ben", {Bytes{}}), ErrorCode::invalid_argument);
  EXPECT_EQ(code("ben", {Bytes(1), Bytes(kMaxOriginalBytes + 1)}), ErrorCode::invalid_argument);
  EXPECT_EQ(code("ben", std::vector<Bytes>(kMaxReferencesPerSubject + 1, Bytes(1))),
            ErrorCode::invalid_argument);
  EXPECT_EQ(*catalogue.list_subjects(gallery), std::vector<std::string>{"anna"});
  EXPECT_EQ(*catalogue.generation(gallery), 1u);
  EXPECT_EQ(catalogue.audit_head()->sequence, head.sequence);
  EXPECT_TRUE(catalogue.enrol(gallery, "ben", std::vector<Bytes>{Bytes(kMaxOriginalBytes)}).ok());
}

TEST_F(CatalogueTest, AnUnknownSubjectOrReferenceIsNotFound) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const Gallery park = *catalogue.create_gallery(new_gallery("park"));
  const auto references = *catalogue.enrol(park, "anna", std::vector<Bytes>{original_bytes(1)});
  EXPECT_EQ(catalogue.find_subject(gallery, "anna").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.erase_subject(gallery, "anna").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.read_original(gallery, references[0].id).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.read_original(park, 99).error().code, ErrorCode::not_found);
  EXPECT_EQ(*catalogue.generation(gallery), 0u);
}

TEST_F(CatalogueTest, ErasedPositionsAreTakenAgainFromTheLowest) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  int64_t highest_id = 0;
  for (const char* subject : {"anna", "ben", "carl", "dora"})
    highest_id =
        catalogue.enrol(gallery, subject, std::vector<Bytes>{original_bytes(1)})->front().id;
  EXPECT_EQ(catalogue.erase_subject(gallery, "dora")->references, 1u);
  EXPECT_TRUE(catalogue.erase_subject(gallery, "ben")->bytes_gone);
  EXPECT_EQ(catalogue.find_subject(gallery, "ben").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.stats(gallery)->erased, 2u);
  EXPECT_EQ(catalogue.stats(gallery)->references, 2u);

  const auto emil = *catalogue.enrol(gallery, "emil", std::vector<Bytes>(3, original_bytes(2)));
  EXPECT_EQ(positions(emil), (std::vector<uint32_t>{1, 3, 4}));
  for (const Reference& reference : emil) EXPECT_GT(reference.id, highest_id);
  EXPECT_EQ(catalogue.stats(gallery)->erased, 0u);
}

TEST_F(CatalogueTest, TheStreamGivesAllReferencesAndThenWhatChanged) {
  Catalogue catalogue = open();
  Catalogue other = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  std::map<uint32_t, std::pair<std::string, Bytes>> expected, state;
  for (uint32_t i = 0; i < 200; ++i) {  // more than the stream reads at once
    expected[i] = {fmt::format("s{}", i), original_bytes(i)};
    ASSERT_TRUE(
        other.enrol(gallery, expected[i].first, std::vector<Bytes>{expected[i].second}).ok());
  }
  uint64_t since = follow(catalogue, gallery, 0, state);
  EXPECT_EQ(since, 200u);
  EXPECT_EQ(state, expected);

  ASSERT_TRUE(other.erase_subject(gallery, "s7").ok());
  ASSERT_TRUE(other.erase_subject(gallery, "s9").ok());
  expected.erase(9);
  expected[7] = {"anna", original_bytes(1000)};
  ASSERT_TRUE(other.enrol(gallery, "anna", std::vector<Bytes>{expected[7].second}).ok());
  EXPECT_EQ(*catalogue.generation(gallery), 203u);
  since = follow(catalogue, gallery, since, state);
  EXPECT_EQ(since, 203u);
  EXPECT_EQ(state, expected);

  size_t calls = 0;
  EXPECT_EQ(*catalogue.for_each_reference(gallery, since,
                                          [&](const ReferenceView&) {
                                            ++calls;
                                            return Status{};
                                          }),
            since);
  EXPECT_EQ(calls, 0u);
}

TEST_F(CatalogueTest, TheStreamLeavesChangesMadeMeanwhileToTheNextCall) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  for (int i = 0; i < 150; ++i)
    ASSERT_TRUE(
        catalogue.enrol(gallery, fmt::format("s{}", i), std::vector<Bytes>{original_bytes(1)})
            .ok());
  std::vector<uint32_t> seen;
  const auto until = catalogue.for_each_reference(gallery, 0, [&](const ReferenceView& view) {
    if (seen.empty()) {
      EXPECT_TRUE(catalogue.erase_subject(gallery, "s140").ok());
      EXPECT_TRUE(catalogue.enrol(gallery, "late", std::vector<Bytes>{original_bytes(2)}).ok());
    }
    seen.push_back(view.position);
    return Status{};
  });
  EXPECT_EQ(*until, 150u);
  EXPECT_EQ(seen.size(), 149u);
  std::map<uint32_t, std::pair<std::string, Bytes>> state;
  EXPECT_EQ(follow(catalogue, gallery, *until, state), 152u);
  EXPECT_EQ(state.at(140).first, "late");
}

TEST_F(CatalogueTest, TheStreamStopsAtAnErrorOfTheCallback) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", std::vector<Bytes>(3, original_bytes(1))).ok());
  int calls = 0;
  const auto result = catalogue.for_each_reference(gallery, 0, [&](const ReferenceView&) -> Status {
    ++calls;
    return make_error(ErrorCode::mismatch, "enough");
  });
  EXPECT_EQ(result.error().code, ErrorCode::mismatch);
  EXPECT_EQ(calls, 1);
}

TEST_F(CatalogueTest, AnEdgeKeyIsFoundUntilItIsRevokedAndNeverAfter) {
  Catalogue catalogue = open();
  const Bytes key = original_bytes(1, 100000);
  ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", key).ok());
  ASSERT_TRUE(catalogue.put_edge("key-2", "camera-1", original_bytes(2)).ok());
  EXPECT_EQ(catalogue.put_edge("key-1", "camera-1", key).error().code, ErrorCode::already_exists);
  const auto edge = open().find_edge("key-1", "camera-1");
  ASSERT_TRUE(edge.ok()) << edge.error().message;
  EXPECT_EQ(edge->id, "camera-1");
  EXPECT_EQ(edge->key_id, "key-1");
  EXPECT_EQ(edge->switching_key, key);

  EXPECT_TRUE(catalogue.revoked_edges()->empty());
  EXPECT_TRUE(*catalogue.revoke_edge("camera-1"));
  EXPECT_TRUE(*catalogue.revoke_edge("camera-1"));
  EXPECT_EQ(*catalogue.revoked_edges(), std::vector<std::string>{"camera-1"});
  EXPECT_EQ(catalogue.find_edge("key-1", "camera-1").error().code, ErrorCode::refused);
  EXPECT_EQ(catalogue.put_edge("key-1", "camera-1", key).error().code, ErrorCode::refused);
  EXPECT_EQ(catalogue.find_edge("key-2", "camera-1").error().code, ErrorCode::refused);
  EXPECT_TRUE(catalogue.check().ok());
}

TEST_F(CatalogueTest, ARevokedEdgeIsRefusedUnderKeysThatComeLaterAndByOtherProcesses) {
  Catalogue catalogue = open(), running = open();
  ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", original_bytes(1)).ok());
  ASSERT_TRUE(running.find_edge("key-1", "camera-1").ok());
  ASSERT_TRUE(catalogue.revoke_edge("camera-1").ok());
  EXPECT_EQ(running.find_edge("key-1", "camera-1").error().code, ErrorCode::refused);
  EXPECT_EQ(running.find_edge("key-2", "camera-1").error().code, ErrorCode::refused);
  EXPECT_EQ(running.put_edge("key-2", "camera-1", Bytes(1)).error().code, ErrorCode::refused);
  EXPECT_TRUE(running.put_edge("key-2", "camera-10", Bytes(1)).ok());
  // One that was stolen before it ever came.
  ASSERT_TRUE(catalogue.revoke_edge("camera-2").ok());
  EXPECT_EQ(open().put_edge("key-1", "camera-2", Bytes(1)).error().code, ErrorCode::refused);
  EXPECT_TRUE(open().check().ok());
}

TEST_F(CatalogueTest, AnEdgeFailsIfUnknownUnnamedOrOutsideTheLimits) {
  Catalogue catalogue = open();
  EXPECT_EQ(catalogue.find_edge("key-1", "camera-1").error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue.find_edge("", "camera-1").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.revoke_edge("/").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.put_edge("key-1", "", Bytes(1)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.put_edge("key-1", "e", {}).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(catalogue.put_edge("key-1", "e", Bytes(kMaxSwitchingKeyBytes + 1)).error().code,
            ErrorCode::invalid_argument);
}

TEST_F(CatalogueTest, SeveralThreadsMayUseOneCatalogue) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string subject = fmt::format("s{}-{}", t, i);
        EXPECT_TRUE(catalogue.enrol(gallery, subject, std::vector<Bytes>{original_bytes(1)}).ok());
        EXPECT_TRUE(catalogue.find_subject(gallery, subject).ok());
        if (i % 4 == 0) {
          EXPECT_TRUE(catalogue.erase_subject(gallery, subject).ok());
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(catalogue.stats(gallery)->references, 60u);
  EXPECT_TRUE(catalogue.check().ok());
}

TEST_F(CatalogueTest, ReadsDoNotWaitForAWriteThatWaits) {
  Catalogue catalogue = open({.busy_timeout_ms = 60'000});
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  Connection other = *Connection::open(path(), 0);
  std::thread writer;
  {
    const Transaction held = *Transaction::begin(other);
    writer = std::thread([&] {
      EXPECT_TRUE(catalogue.enrol(gallery, "anna", std::vector<Bytes>{original_bytes(1)}).ok());
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));  // until it waits
    for (int i = 0; i < 100; ++i) ASSERT_EQ(catalogue.find_gallery("doors")->generation, 0u);
    EXPECT_EQ(catalogue.find_subject(gallery, "anna").error().code, ErrorCode::not_found);
  }
  writer.join();
  EXPECT_EQ(catalogue.find_gallery("doors")->generation, 1u);
  EXPECT_TRUE(catalogue.find_subject(gallery, "anna").ok());
}

}  // namespace
}  // namespace bauta::store
