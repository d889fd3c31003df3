#include "face/verification_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bauta::face {
namespace {

using namespace std::string_view_literals;
using testing::HasSubstr;

// pickle.dumps(([b"a", b"bc", b"d", a], [True, False]), protocol) with the first image once more as
// the last: by Python 2's cPickle, and by Python 3 in protocols 3 and 4.
constexpr std::string_view kPickles[] = {
    "\x80\x02]q\x01(U\x01\x61q\x02U\x02\x62\x63q\x03T\x01\0\0\0dq\x04h\x02\x65]q\x05(\x88\x89\x65\x86q\x06."sv,
    "\x80\x03]q\0(C\x01\x61q\x01\x43\x02\x62\x63q\x02\x43\x01\x64q\x03h\x01\x65]q\x04(\x88\x89\x65\x86q\x05."sv,
    "\x80\x04\x95\x1c\0\0\0\0\0\0\0]\x94(C\x01\x61\x94\x43\x02\x62\x63\x94\x43\x01\x64\x94h\x01\x65]\x94(\x88\x89\x65\x86\x94."sv,
};

std::string error_of(std::string_view file) {
  const auto set = parse_verification_set(as_bytes(file));
  return set.ok() ? "none" : set.error().message;
}

TEST(VerificationSet, IsReadAsAnyPythonWritesIt) {
  for (const std::string_view pickle : kPickles) {
    const auto set = parse_verification_set(as_bytes(pickle));
    ASSERT_TRUE(set.ok()) << set.error().message;
    std::vector<std::string_view> images;
    for (const ByteView image : set->images) images.push_back(as_text(image));
    EXPECT_THAT(images, testing::ElementsAre("a", "bc", "d", "a"));
    EXPECT_THAT(set->mated, testing::ElementsAre(true, false));
  }
}

TEST(VerificationSet, PairsAreInTenFolds) {
  VerificationSet set{std::vector<ByteView>(60), std::vector<bool>(30)};
  set.mated[4] = true;
  const std::vector<ImagePair> pairs = set.pairs();
  ASSERT_EQ(pairs.size(), 30u);
  EXPECT_EQ(pairs[4].reference, "000008");
  EXPECT_EQ(pairs[4].probe, "000009");
  EXPECT_TRUE(pairs[4].mated);
  EXPECT_EQ(pairs[2].fold, 0);
  EXPECT_EQ(pairs[3].fold, 1);
  EXPECT_EQ(pairs[29].fold, 9);
}

TEST(VerificationSet, TakesAlignedImagesOnly) {
  const Image small{kAlignedSide, kAlignedSide - 1,
                    Bytes(size_t{3} * kAlignedSide * (kAlignedSide - 1))};
  const Image whole{kAlignedSide, kAlignedSide, Bytes(size_t{3} * kAlignedSide * kAlignedSide, 7)};
  const Bytes small_png = *encode_png(small), whole_png = *encode_png(whole);
  const Bytes none = {1, 2, 3};
  const VerificationSet set{{whole_png, small_png, none, none}, {true, false}};
  const std::vector<ImagePair> pairs = set.pairs();
  EXPECT_EQ(set.face(pairs[0].reference)->image.rgb, whole.rgb);
  EXPECT_THAT(set.face(pairs[0].probe).error().message, HasSubstr("112x111"));
  EXPECT_FALSE(set.face(pairs[1].probe).ok());
  const auto engine = *make_engine("classic");
  ThreadPool threads(2);
  const EmbeddedImages images = embed_set(set, pairs, *engine, threads);
  EXPECT_EQ(images.size(), 4u);
  EXPECT_FALSE(images.at(pairs[0].probe).embedding);
  EXPECT_FALSE(images.at(pairs[1].probe).failure.empty());
}

TEST(VerificationSet, CutOffIsRefused) {
  for (const std::string_view pickle : kPickles)
    for (size_t size = 0; size < pickle.size(); ++size)
      EXPECT_NE(error_of(pickle.substr(0, size)), "none") << size;
}

TEST(VerificationSet, NothingElseIsUnderstood) {
  EXPECT_THAT(error_of("\x80\x06]."sv), HasSubstr("protocol"));
  EXPECT_THAT(error_of("(lp0\n."sv), HasSubstr("protocol"));
  // A call of a function, which would be executed elsewhere.
  EXPECT_THAT(error_of("\x80\x02"
                       "cos\nsystem\nq\x00."sv),
              HasSubstr("opcode 0x63"));
  EXPECT_THAT(error_of("\x80\x02"
                       "a."sv),
              HasSubstr("runs empty"));
  EXPECT_THAT(error_of("\x80\x02"
                       "e."sv),
              HasSubstr("mark"));
  EXPECT_THAT(error_of("\x80\x02"
                       "q\x00."sv),
              HasSubstr("runs empty"));
  EXPECT_THAT(error_of("\x80\x02h\x00."sv), HasSubstr("gap"));
  EXPECT_THAT(error_of("\x80\x02]]a."sv), HasSubstr("neither"));
  EXPECT_THAT(error_of("\x80\x02\x88\x89"
                       "a."sv),
              HasSubstr("no list"));
  EXPECT_THAT(error_of("\x80\x02]\x88\x86."sv), HasSubstr("no list"));
  EXPECT_THAT(error_of("\x80\x02]]."sv), HasSubstr("no pair"));
  EXPECT_THAT(error_of("\x80\x02]]\x86."sv), HasSubstr("0 images for 0 pairs"));
  EXPECT_THAT(error_of("\x80\x02](\x88\x88"
                       "e](\x88"
                       "e\x86."sv),
              HasSubstr("no bytes"));
  EXPECT_THAT(error_of("\x80\x02](C\0C\0"
                       "e](C\0"
                       "e\x86."sv),
              HasSubstr("truth value"));
  EXPECT_THAT(error_of("\x80\x02](C\0"
                       "e](\x88"
                       "e\x86."sv),
              HasSubstr("1 images for 1 pairs"));
  EXPECT_THAT(error_of("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xff."sv), HasSubstr("cut off"));
  EXPECT_NE(error_of(std::string(kPickles[1]) + "x"), "none");
}

}  // namespace
}  // namespace bauta::face
