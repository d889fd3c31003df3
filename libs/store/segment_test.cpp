#include "store/segment.h"

#include <fstream>

#include <gmock/gmock.h>

#include "store/test_support.h"

namespace bauta::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class SegmentTest : public CatalogueTest {
 protected:
  SegmentTest() : folder_(directory_.path(), 7) {
    content_.gallery = 7;
    content_.block = 3;
    content_.parameters.fill(0x11);
    content_.key_id.fill(0x22);
    content_.live[1] = 0x05;
    for (uint32_t i = 0; i < 4096; ++i) images_.push_back(i * 2654435761u);
    for (uint32_t i = 0; i < 1024; ++i) sums_.push_back(~i);
    EXPECT_TRUE(folder_.lock(0).ok());
  }
  Bytes segment() const { return make_segment(content_, {images_}, {sums_}); }

  SegmentFolder folder_;
  SegmentContent content_;
  std::vector<uint32_t> images_, sums_;
};

TEST_F(SegmentTest, ComesBackAsItWasWritten) {
  const auto name = folder_.write(segment());
  ASSERT_TRUE(name.ok()) << name.error().message;
  const auto opened = folder_.open(*name);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  const MappedSegment& mapped = **opened;
  EXPECT_TRUE(std::ranges::equal(mapped.images(), images_));
  EXPECT_TRUE(std::ranges::equal(mapped.sums(), sums_));
  EXPECT_TRUE(mapped.verify_sums().ok());
  EXPECT_EQ(mapped.content().block, 3u);
  EXPECT_EQ(mapped.content().gallery, 7);
  EXPECT_FALSE(mapped.content().bulk);
  EXPECT_EQ(mapped.content().live, content_.live);
  EXPECT_TRUE(mapped.is_live(8) && mapped.is_live(10) && !mapped.is_live(9));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(mapped.images().data()) % 64, 0u);
}

// docs/formats/segment.md
TEST_F(SegmentTest, TheFormatIsFixed) {
  EXPECT_EQ(segment_name(segment()), "0003-4287781a69ee38f820fb2c6fa54ccfdd.segment");
}

TEST_F(SegmentTest, TheBytesDependOnTheContentAlone) {
  EXPECT_EQ(segment(), segment());
  const WordSpans halves = {std::span(images_).first(1000), std::span(images_).subspan(1000)};
  EXPECT_EQ(make_segment(content_, halves, {sums_}), segment());
  SegmentContent other = content_;
  other.gallery = 8;
  EXPECT_EQ(*change_gallery(segment(), 8), make_segment(other, {images_}, {sums_}));
  EXPECT_NE(segment_name(*change_gallery(segment(), 8)), segment_name(segment()));
}

TEST_F(SegmentTest, DamageIsFoundAndNamed) {
  const Bytes whole = segment();
  const fs::path path = directory_.path() / "file";
  const auto open_damaged = [&](const Bytes& bytes) {
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    auto opened = MappedSegment::open(path);
    if (opened.ok()) return (*opened)->verify_sums();
    return Status(opened.error());
  };
  ASSERT_TRUE(open_damaged(whole).ok());
  for (size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, whole.size() - 1}) {
    const Status status = open_damaged({whole.begin(), whole.begin() + static_cast<long>(size)});
    ASSERT_FALSE(status.ok()) << size;
    EXPECT_EQ(status.error().code, ErrorCode::corrupt);
    EXPECT_THAT(status.error().message, HasSubstr(path.string()));
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_EQ(open_damaged(longer).error().code, ErrorCode::corrupt);
  for (size_t at = 0; at < whole.size(); at += at < 4096 ? 13 : 999) {
    Bytes flipped = whole;
    flipped[at] ^= 0x10;
    const Status status = open_damaged(flipped);
    ASSERT_FALSE(status.ok()) << at;
    EXPECT_EQ(status.error().code, ErrorCode::corrupt);
  }
  EXPECT_EQ(MappedSegment::open(directory_.path() / "none").error().code, ErrorCode::not_found);

  // With checksums that fit: flags and reserved bytes that mean nothing, and words that would not
  // be aligned.
  for (const size_t at : {10, 3000}) {
    Bytes changed = whole;
    changed[at] = 2;
    const Digest digest = sha256(ByteView(changed).first(4064));
    std::ranges::copy(digest, changed.begin() + 4064);
    EXPECT_EQ(open_damaged(changed).error().code, ErrorCode::corrupt) << at;
  }
  const auto words = std::span(images_).first(17);
  EXPECT_FALSE(open_damaged(make_segment(content_, {words}, {sums_})).ok());
  EXPECT_FALSE(open_damaged(make_segment(content_, {images_}, {words})).ok());
}

TEST_F(SegmentTest, AFolderKeepsWhatCountsAndRemovesTheRest) {
  const std::string kept = *folder_.write(segment());
  content_.block = 4;
  const std::string replaced = *folder_.write(segment());
  content_.block = 5;
  const std::string damaged = *folder_.write(segment());
  std::ofstream(folder_.path() / "0003-x.segment.AbCdEf") << "half";
  folder_.quarantine(damaged);
  EXPECT_EQ(folder_.open(damaged).error().code, ErrorCode::not_found);
  const std::vector<Segment> set = {{3, false, kept, 0}};
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      names.insert(entry.path().filename());
    return names;
  };
  ASSERT_TRUE(folder_.remove_others(set, /*keep_damaged=*/true).ok());
  EXPECT_EQ(files(), (std::set<std::string>{"lock", kept, damaged + ".damaged"}));
  ASSERT_TRUE(folder_.remove_others(set, /*keep_damaged=*/false).ok());
  EXPECT_EQ(files(), (std::set<std::string>{"lock", kept}));
}

TEST_F(SegmentTest, OneProcessWritesAtATime) {
  const auto held = folder_.lock(0);
  ASSERT_TRUE(held.ok());
  EXPECT_EQ(folder_.lock(0).error().code, ErrorCode::busy);
}

// --- What the catalogue says of segments

class SegmentRowsTest : public CatalogueTest {
 protected:
  SegmentRowsTest() : gallery_(*catalogue_.create_gallery(new_gallery())) {}

  void enrol(const std::string& subject, uint64_t seed) {
    ASSERT_TRUE(catalogue_.enrol(gallery_, subject, std::vector<Bytes>{original_bytes(seed)}).ok());
  }

  Catalogue catalogue_ = open();
  Gallery gallery_;
};

TEST_F(SegmentRowsTest, ASetIsReplacedAsAWholeOrNotAtAll) {
  for (int i = 0; i < 3; ++i) enrol(fmt::format("s{}", i), static_cast<uint64_t>(i));
  EXPECT_EQ(*catalogue_.changed_blocks(gallery_, 0), std::vector<uint32_t>{0});
  const std::vector<Segment> put = {{0, false, "a", 10}};
  ASSERT_TRUE(catalogue_.replace_segments(gallery_, 0, 3, put, {}).ok());
  EXPECT_TRUE(catalogue_.changed_blocks(gallery_, 3)->empty());
  const auto set = catalogue_.segments(gallery_);
  ASSERT_TRUE(set.ok());
  EXPECT_EQ(set->version, 1u);
  EXPECT_EQ(set->compacted, 3u);
  ASSERT_EQ(set->segments.size(), 1u);
  EXPECT_EQ(set->segments[0].file, "a");
  EXPECT_EQ(catalogue_.find_gallery("doors")->segments_version, 1u);
  EXPECT_EQ(catalogue_.replace_segments(gallery_, 0, 3, {}, {}).error().code, ErrorCode::busy);
  EXPECT_EQ(catalogue_.stats(gallery_)->segment_bytes, 10u);
  EXPECT_EQ(catalogue_.stats(gallery_)->tail, 0u);
  enrol("late", 9);
  EXPECT_EQ(catalogue_.stats(gallery_)->tail, 1u);
  const uint32_t block = 0;
  ASSERT_TRUE(catalogue_.replace_segments(gallery_, 1, 3, {}, {&block, 1}).ok());
  EXPECT_TRUE(catalogue_.segments(gallery_)->segments.empty());
}

TEST_F(SegmentRowsTest, APositionIsFreeOnceNoSegmentHoldsIt) {
  enrol("anna", 1);
  enrol("ben", 2);
  const std::vector<Segment> put = {{0, false, "a", 10}};
  ASSERT_TRUE(catalogue_.replace_segments(gallery_, 0, 2, put, {}).ok());
  ASSERT_EQ(*catalogue_.retire_subject(gallery_, "anna"), 1u);
  EXPECT_EQ(*catalogue_.read_retired(gallery_, 0, 2), original_bytes(1));
  EXPECT_EQ(catalogue_.read_retired(gallery_, 0, 0).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue_.read_retired(gallery_, 1, 2).error().code, ErrorCode::not_found);
  EXPECT_FALSE(*catalogue_.finish_erasures());
  EXPECT_EQ(catalogue_.read_retired(gallery_, 0, 2).error().code, ErrorCode::not_found);
  enrol("cora", 3);
  EXPECT_EQ(catalogue_.find_subject(gallery_, "cora")->references[0].position, 2u);
  ASSERT_TRUE(catalogue_.replace_segments(gallery_, 1, 4, put, {}).ok());
  EXPECT_TRUE(*catalogue_.finish_erasures());
  enrol("dora", 4);
  EXPECT_EQ(catalogue_.find_subject(gallery_, "dora")->references[0].position, 0u);
  EXPECT_EQ(catalogue_.find_holder(gallery_, 0)->subject, "dora");
  EXPECT_EQ(catalogue_.find_holder(gallery_, 0)->generation, 5u);
  EXPECT_EQ(catalogue_.find_holder(gallery_, 9).error().code, ErrorCode::not_found);
  EXPECT_EQ(catalogue_.read_block(gallery_, 0, 4)->size(), 2u);
  EXPECT_EQ(catalogue_.read_block(gallery_, 0, 5)->size(), 3u);
}

TEST_F(SegmentRowsTest, ARewrittenBlockLosesTheRowsOfWhatWasErased) {
  const std::vector<std::string> subjects = {"b0", "b1", "b2"};
  ASSERT_TRUE(
      catalogue_.enrol_block(gallery_, {0, true, "before", 5}, subjects, IfEnrolled::refuse).ok());
  ASSERT_EQ(*catalogue_.retire_subject(gallery_, "b1"), 1u);
  const SegmentSet set = *catalogue_.segments(gallery_);
  ASSERT_EQ(*catalogue_.retire_subject(gallery_, "b2"), 1u);  // too late for this time
  const std::vector<uint32_t> removed = {0, 1};               // b0 is live and stays
  ASSERT_TRUE(catalogue_.rewrite_segment(gallery_, set, {0, true, "after", 6}, removed).ok());
  EXPECT_EQ(catalogue_.rewrite_segment(gallery_, set, {0, true, "again", 7}, {}).error().code,
            ErrorCode::busy);
  const SegmentSet now = *catalogue_.segments(gallery_);
  ASSERT_EQ(now.segments.size(), 1u);
  EXPECT_EQ(now.segments[0].file, "after");
  EXPECT_TRUE(now.segments[0].bulk);
  EXPECT_EQ(now.version, set.version + 1);
  EXPECT_EQ(now.compacted, set.compacted);
  EXPECT_EQ(*catalogue_.retired_in_bulk(gallery_), std::vector<uint32_t>{2});
  EXPECT_EQ(catalogue_.find_subject(gallery_, "b0")->references[0].position, 0u);
  enrol("anna", 1);  // not at the position that is gone
  EXPECT_EQ(catalogue_.find_subject(gallery_, "anna")->references[0].position, kBlockPositions);
  EXPECT_TRUE(catalogue_.check().ok());
}

TEST_F(SegmentRowsTest, ABulkBlockIsEnrolledWholeAndItsPositionsAreNeverUsedAgain) {
  enrol("anna", 1);
  ASSERT_EQ(*catalogue_.next_block(gallery_), 1u);
  std::vector<std::string> subjects;
  for (int i = 0; i < 100; ++i) subjects.push_back(fmt::format("b{}", i));
  const Segment segment{1, true, "bulk", 5};
  ASSERT_TRUE(catalogue_.enrol_block(gallery_, segment, subjects, IfEnrolled::refuse).ok());
  EXPECT_EQ(catalogue_.enrol_block(gallery_, segment, subjects, IfEnrolled::refuse).error().code,
            ErrorCode::busy);
  EXPECT_EQ(catalogue_.enrol_block(gallery_, {2, true, "x", 5}, subjects, IfEnrolled::refuse)
                .error()
                .code,
            ErrorCode::already_exists);
  const auto subject = catalogue_.find_subject(gallery_, "b7");
  ASSERT_TRUE(subject.ok()) << subject.error().message;
  EXPECT_EQ(subject->references[0].position, 4096u + 7);
  EXPECT_EQ(catalogue_.read_original(gallery_, subject->references[0].id).error().code,
            ErrorCode::not_found);
  EXPECT_EQ(catalogue_.stats(gallery_)->bulk, 100u);
  EXPECT_EQ(catalogue_.stats(gallery_)->tail, 1u);
  size_t streamed = 0;
  ASSERT_TRUE(catalogue_
                  .for_each_reference(gallery_, 1,
                                      [&](const ReferenceView&) {
                                        ++streamed;
                                        return Status{};
                                      })
                  .ok());
  EXPECT_EQ(streamed, 0u);
  ASSERT_EQ(*catalogue_.retire_subject(gallery_, "b7"), 1u);
  EXPECT_FALSE(*catalogue_.finish_erasures());
  EXPECT_EQ(*catalogue_.retired_in_bulk(gallery_), std::vector<uint32_t>{4096 + 7});
  EXPECT_TRUE(catalogue_.changed_blocks(gallery_, 1)->empty());
  enrol("ben", 2);
  EXPECT_EQ(catalogue_.find_subject(gallery_, "ben")->references[0].position, 1u);
  EXPECT_EQ(*catalogue_.next_block(gallery_), 2u);
  size_t live = 0;
  ASSERT_TRUE(catalogue_
                  .for_each_live(gallery_,
                                 [&](const ReferenceView& view) {
                                   live += view.bulk ? 1 : 100;
                                   return Status{};
                                 })
                  .ok());
  EXPECT_EQ(live, 299u);
  EXPECT_TRUE(catalogue_.check().ok());
  EXPECT_TRUE(catalogue_.delete_gallery("doors")->bytes_gone);
}

}  // namespace
}  // namespace bauta::store
