#include <algorithm>
#include <fstream>
#include <map>

#include "base/file.h"
#include "store/schema.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

namespace fs = std::filesystem;

// Eight random bytes, repeated: whatever piece of 15 bytes is left of it somewhere contains them.
Bytes marked_original(uint64_t seed, size_t size_bytes) {
  const Bytes marker = original_bytes(seed, 8);
  Bytes bytes(size_bytes);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = marker[i % marker.size()];
  return bytes;
}

class ErasureTest : public CatalogueTest {
 protected:
  ErasureTest() : CatalogueTest(memory_directory()) {}
  bool files_contain_marker(uint64_t seed) const {
    const Bytes marker = original_bytes(seed, 8);
    for (const auto& entry : fs::directory_iterator(directory_.path())) {
      const Bytes content = *read_file(entry.path(), size_t{1} << 30);
      if (memmem(content.data(), content.size(), marker.data(), marker.size()) != nullptr)
        return true;
    }
    return false;
  }
};

TEST_F(ErasureTest, TheBytesOfAnErasedSubjectAreInNoFile) {
  Catalogue catalogue = open();
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  const std::vector<Bytes> anna = {marked_original(1, kRealOriginalBytes), marked_original(2, 700)};
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", anna).ok());
  ASSERT_TRUE(
      catalogue.enrol(gallery, "ben", std::vector<Bytes>{marked_original(3, kRealOriginalBytes)})
          .ok());
  ASSERT_TRUE(files_contain_marker(1) && files_contain_marker(2) && files_contain_marker(3));

  const auto erasure = catalogue.erase_subject(gallery, "anna");
  ASSERT_TRUE(erasure.ok()) << erasure.error().message;
  EXPECT_EQ(erasure->references, 2u);
  EXPECT_TRUE(erasure->bytes_gone);
  EXPECT_FALSE(files_contain_marker(1));
  EXPECT_FALSE(files_contain_marker(2));
  EXPECT_TRUE(files_contain_marker(3));
}

TEST_F(ErasureTest, TheBytesOfARevokedEdgeAreInNoFile) {
  Catalogue catalogue = open();
  ASSERT_TRUE(catalogue.put_edge("key-1", "camera-1", marked_original(1, 200000)).ok());
  ASSERT_TRUE(files_contain_marker(1));
  EXPECT_TRUE(*catalogue.revoke_edge("camera-1"));
  EXPECT_FALSE(files_contain_marker(1));
}

// secure_delete alone does not pass this: balancing leaves copies of what stood in B-tree pages.
TEST_F(ErasureTest, NoCopyIsLeftBehindWhenPagesAreBalanced) {
  Catalogue catalogue = open();
  const std::vector<Gallery> galleries = {*catalogue.create_gallery(new_gallery("doors")),
                                          *catalogue.create_gallery(new_gallery("park"))};
  std::mt19937_64 random(7);
  std::vector<uint64_t> live, erased;
  uint64_t next = 0;
  for (int step = 0; step < 1500; ++step) {
    if (live.size() < 30 || random() % 10 < 6) {
      const size_t size_bytes = 16 + random() % (next % 50 == 0 ? kRealOriginalBytes : 1000);
      ASSERT_TRUE(catalogue
                      .enrol(galleries[next % 2], fmt::format("s{}", next),
                             std::vector<Bytes>{marked_original(next, size_bytes)})
                      .ok());
      live.push_back(next++);
      continue;
    }
    std::swap(live[random() % live.size()], live.back());
    const uint64_t leaving = live.back();
    ASSERT_TRUE(
        catalogue.erase_subject(galleries[leaving % 2], fmt::format("s{}", leaving))->bytes_gone);
    erased.push_back(leaving);
    live.pop_back();
  }
  for (const uint64_t seed : live) EXPECT_TRUE(files_contain_marker(seed)) << seed;
  for (const uint64_t seed : erased) EXPECT_FALSE(files_contain_marker(seed)) << seed;

  ASSERT_TRUE(catalogue.delete_gallery("park")->bytes_gone);
  for (const uint64_t seed : live) EXPECT_EQ(files_contain_marker(seed), seed % 2 == 0) << seed;
  EXPECT_TRUE(catalogue.check().ok());
}

TEST_F(ErasureTest, AReaderOfAnOlderStateDelaysTheEndOfAnErasure) {
  Catalogue catalogue = open({.busy_timeout_ms = 50});
  const Gallery gallery = *catalogue.create_gallery(new_gallery());
  ASSERT_TRUE(catalogue.enrol(gallery, "anna", std::vector<Bytes>{marked_original(1, 60000)}).ok());
  {
    Connection reader = *Connection::open(path(), 50);
    ASSERT_TRUE(reader.run("BEGIN").ok());
    ASSERT_TRUE(reader.query_integer("SELECT count(*) FROM reference").ok());
    const auto erasure = catalogue.erase_subject(gallery, "anna");
    ASSERT_TRUE(erasure.ok()) << erasure.error().message;
    EXPECT_FALSE(erasure->bytes_gone);
    EXPECT_FALSE(*catalogue.finish_erasures());
    EXPECT_EQ(catalogue.find_subject(gallery, "anna").error().code, ErrorCode::not_found);
    EXPECT_EQ(catalogue.enrol(gallery, "ben", std::vector<Bytes>{Bytes(10)})->front().position, 1u)
        << "a position is not free before its bytes are gone";
  }
  EXPECT_TRUE(*catalogue.finish_erasures());
  EXPECT_FALSE(files_contain_marker(1));
  EXPECT_EQ(catalogue.enrol(gallery, "carl", std::vector<Bytes>{Bytes(10)})->front().position, 0u);
}

TEST_F(ErasureTest, OpeningFinishesWhatAnotherProcessLeft) {
  {
    Catalogue catalogue = open({.busy_timeout_ms = 0});
    const Gallery gallery = *catalogue.create_gallery(new_gallery());
    ASSERT_TRUE(
        catalogue.enrol(gallery, "anna", std::vector<Bytes>{marked_original(1, 60000)}).ok());
    Connection reader = *Connection::open(path(), 0);
    ASSERT_TRUE(reader.run("BEGIN").ok());
    ASSERT_TRUE(reader.query_integer("SELECT count(*) FROM reference").ok());
    EXPECT_FALSE(catalogue.delete_gallery("doors")->bytes_gone);
    EXPECT_EQ(catalogue.find_gallery("doors").error().code, ErrorCode::not_found);
  }
  Catalogue catalogue = open();
  EXPECT_FALSE(files_contain_marker(1));
  Connection connection = *Connection::open(path(), 0);
  EXPECT_EQ(*connection.query_integer("SELECT count(*) FROM gallery"), 0);
  EXPECT_EQ(*connection.query_integer("SELECT count(*) FROM reference"), 0);
  EXPECT_EQ(*connection.query_integer("SELECT count(*) FROM payload"), 0);
}

}  // namespace
}  // namespace bauta::store
