#include "base/file.h"
#include "store/state.h"
#include "store/test_support.h"

namespace bauta::store {
namespace {

// Stands for a key switch: other bytes that follow from these.
Bytes renewed_bytes(Bytes bytes) {
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(~byte);
  return bytes;
}

class RenewalTest : public CatalogueTest {
 protected:
  RenewalTest() : CatalogueTest(memory_directory()), catalogue_(open()) {
    gallery_ = *catalogue_.create_gallery(new_gallery());
  }
  Reference enrol(unsigned person) {
    const Bytes original = original_bytes(person, 20'000);
    const auto enrolled = catalogue_.enrol(now(), fmt::format("s-{}", person), {&original, 1});
    EXPECT_TRUE(enrolled.ok()) << enrolled.error().message;
    return enrolled->front();
  }
  Gallery now() { return *catalogue_.find_gallery("doors"); }
  void renew_all(const std::string& key) {
    for (int64_t position = -1;;) {
      auto batch = catalogue_.originals_to_renew(now(), position);
      ASSERT_TRUE(batch.ok()) << batch.error().message;
      if (batch->empty()) return;
      for (Original& original : *batch) original.bytes = renewed_bytes(std::move(original.bytes));
      const Status put = catalogue_.put_renewed(now(), key, *batch);
      ASSERT_TRUE(put.ok()) << put.error().message;
      position = batch->back().position;
    }
  }
  bool finish() {
    const Gallery gallery = now();
    const auto finished =
        catalogue_.finish_renewal(gallery, gallery.segments_version, gallery.generation, {});
    EXPECT_TRUE(finished.ok()) << finished.error().message;
    return *finished;
  }
  void clean_up() {
    while (*catalogue_.remove_former(now())) {
    }
    EXPECT_TRUE(catalogue_.finish_erasures().ok());
  }
  bool is_in_the_files(const Bytes& bytes) const {
    const std::string_view piece = as_text(ByteView(bytes).subspan(bytes.size() / 2, 64));
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path()))
      if (as_text(*read_file(entry.path(), size_t{1} << 30)).find(piece) != std::string_view::npos)
        return true;
    return false;
  }

  Catalogue catalogue_;
  Gallery gallery_;
};

TEST_F(RenewalTest, ChangesEveryOriginalAtOnceAndLeavesNothingOfTheOnesBefore) {
  std::vector<Reference> references;
  for (unsigned person = 0; person < 150; ++person) references.push_back(enrol(person));
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-2").ok());
  renew_all("key-2");
  EXPECT_EQ(catalogue_.renewal_progress(now())->renewed, 150u);
  EXPECT_EQ(*catalogue_.read_original(now(), references[7].id), original_bytes(7, 20'000));
  EXPECT_EQ(now().key_id, "key-1");
  ASSERT_TRUE(finish());
  EXPECT_EQ(now().key_id, "key-2");
  for (unsigned person = 0; person < 150; ++person)
    EXPECT_EQ(*catalogue_.read_original(now(), references[person].id),
              renewed_bytes(original_bytes(person, 20'000)));
  EXPECT_TRUE(is_in_the_files(original_bytes(7, 20'000)));
  clean_up();
  for (unsigned person = 0; person < 150; ++person)
    ASSERT_FALSE(is_in_the_files(original_bytes(person, 20'000)));
  EXPECT_TRUE(is_in_the_files(renewed_bytes(original_bytes(7, 20'000))));
  EXPECT_TRUE(catalogue_.check().ok());
  EXPECT_TRUE(catalogue_.renewal_progress(now())->key_id.empty());
}

TEST_F(RenewalTest, TakesInWhatIsEnrolledMeanwhileAndForgetsWhatIsErased) {
  const Reference first = enrol(1), second = enrol(2);
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-2").ok());
  renew_all("key-2");
  const Reference third = enrol(3);
  EXPECT_FALSE(finish());
  EXPECT_EQ(now().key_id, "key-1");
  ASSERT_TRUE(catalogue_.erase_subject(now(), "s-2").ok());
  EXPECT_EQ(catalogue_.read_renewed(now(), second.id).error().code, ErrorCode::not_found);
  EXPECT_FALSE(is_in_the_files(renewed_bytes(original_bytes(2, 20'000))));
  renew_all("key-2");
  ASSERT_TRUE(finish());
  EXPECT_EQ(*catalogue_.read_original(now(), first.id), renewed_bytes(original_bytes(1, 20'000)));
  EXPECT_EQ(*catalogue_.read_original(now(), third.id), renewed_bytes(original_bytes(3, 20'000)));
  EXPECT_EQ(catalogue_.find_subject(now(), "s-2").error().code, ErrorCode::not_found);
  clean_up();
  EXPECT_FALSE(is_in_the_files(original_bytes(2, 20'000)));
}

TEST_F(RenewalTest, RefusesWhatWasEncryptedForTheKeyBefore) {
  enrol(1);
  const Gallery before = now();
  ASSERT_TRUE(catalogue_.begin_renewal(before, "key-2").ok());
  renew_all("key-2");
  ASSERT_TRUE(finish());
  const Bytes original = original_bytes(2);
  EXPECT_EQ(catalogue_.enrol(before, "s-2", {&original, 1}).error().code, ErrorCode::mismatch);
  const std::string subject = "s-3";
  EXPECT_EQ(catalogue_.enrol_block(before, {1, true, "x", 1}, {&subject, 1}, IfEnrolled::refuse)
                .error()
                .code,
            ErrorCode::mismatch);
  EXPECT_EQ(catalogue_.begin_renewal(before, "key-3").error().code, ErrorCode::mismatch);
  EXPECT_EQ(catalogue_.replace_segments(before, before.segments_version, 0, {}, {}).error().code,
            ErrorCode::busy);
}

TEST_F(RenewalTest, GoesOnAfterAnInterruptionAndBeginsAnewForAnotherKey) {
  const Reference first = enrol(1);
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-2").ok());
  renew_all("key-2");
  catalogue_ = open();
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-2").ok());
  EXPECT_EQ(catalogue_.renewal_progress(now())->renewed, 1u);
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-3").ok());
  EXPECT_EQ(catalogue_.renewal_progress(now())->renewed, 0u);
  EXPECT_FALSE(is_in_the_files(renewed_bytes(original_bytes(1, 20'000))));
  EXPECT_EQ(catalogue_.put_renewed(now(), "key-2", {}).error().code, ErrorCode::mismatch);
  renew_all("key-3");
  ASSERT_TRUE(finish());
  EXPECT_EQ(now().key_id, "key-3");
  EXPECT_EQ(*catalogue_.read_original(now(), first.id), renewed_bytes(original_bytes(1, 20'000)));
}

TEST_F(RenewalTest, ADeletedGalleryLeavesNothingOfItsRenewal) {
  enrol(1);
  ASSERT_TRUE(catalogue_.begin_renewal(now(), "key-2").ok());
  renew_all("key-2");
  ASSERT_TRUE(catalogue_.delete_gallery("doors").ok());
  EXPECT_FALSE(is_in_the_files(original_bytes(1, 20'000)));
  EXPECT_FALSE(is_in_the_files(renewed_bytes(original_bytes(1, 20'000))));
}

}  // namespace
}  // namespace bauta::store
