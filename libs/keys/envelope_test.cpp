#include "keys/envelope.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

constexpr size_t kOverhead_bytes = 8 + 2 + 16 + 16 + 48 + 16;

class EnvelopeTest : public SoftHsmTest {
 protected:
  void SetUp() override {
    SoftHsmTest::SetUp();
    if (IsSkipped()) return;
    store_ = KeyStore::open(std::move(open_token()).value(), store_directory()).value();
    key_ = store_->create("alpha")->id;
  }

  std::string opened(std::string_view context, ByteView sealed) {
    auto content = open_sealed(*store_, context, sealed);
    return content.ok() ? std::string(as_text(content->span()))
                        : error_code_name(content.error().code);
  }

  std::unique_ptr<KeyStore> store_;
  KeyId key_{};
};

TEST_F(EnvelopeTest, ContentOfAnySizeComesBack) {
  for (size_t size_bytes : {0u, 1u, 15u, 16u, 17u, 4096u, 1'000'000u}) {
    Bytes content(size_bytes);
    random_bytes(content);
    auto sealed = seal(*store_, key_, "a context", content);
    ASSERT_TRUE(sealed.ok()) << sealed.error().message;
    EXPECT_EQ(sealed->size(), size_bytes + kOverhead_bytes);
    EXPECT_EQ(opened("a context", *sealed), as_text(content));
    EXPECT_EQ(sealed_under(*sealed).value(), key_);
  }
}

TEST_F(EnvelopeTest, SameContentNeverLooksTheSame) {
  const Bytes content(100, 7);
  const Bytes first = seal(*store_, key_, "c", content).value();
  const Bytes second = seal(*store_, key_, "c", content).value();
  // Beyond the header that names format and key, hardly a byte agrees.
  int equal = 0;
  for (size_t i = 26; i < first.size(); ++i) equal += first[i] == second[i];
  EXPECT_LT(equal, 10);
}

TEST_F(EnvelopeTest, AnyChangeIsFound) {
  const Bytes sealed = seal(*store_, key_, "c", as_bytes("content")).value();
  for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    Bytes changed = sealed;
    changed[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(open_sealed(*store_, "c", changed).ok()) << "bit " << bit;
  }
  for (size_t size_bytes = 0; size_bytes < sealed.size(); ++size_bytes)
    EXPECT_EQ(opened("c", ByteView(sealed).first(size_bytes)), "corrupt") << size_bytes;
  Bytes longer = sealed;
  longer.push_back(0);
  EXPECT_EQ(opened("c", longer), "corrupt");
}

TEST_F(EnvelopeTest, OpensOnlyInItsContext) {
  const Bytes sealed = seal(*store_, key_, "registration 1", as_bytes("content")).value();
  EXPECT_EQ(opened("registration 1", sealed), "content");
  for (const char* context : {"", "registration 2", "registration 1 ", "registration"})
    EXPECT_EQ(opened(context, sealed), "corrupt");
}

TEST_F(EnvelopeTest, PartsOfTwoPackagesDoNotFitTogether) {
  const Bytes first = seal(*store_, key_, "c", as_bytes("content 1")).value();
  const Bytes second = seal(*store_, key_, "c", as_bytes("content 2")).value();
  Bytes mixed(first.begin(), first.begin() + 90);
  mixed.insert(mixed.end(), second.begin() + 90, second.end());
  EXPECT_EQ(opened("c", mixed), "corrupt");
}

TEST_F(EnvelopeTest, ResealedPackageOutlivesTheOldKey) {
  const Bytes sealed = seal(*store_, key_, "c", as_bytes("content")).value();
  const KeyId next = store_->create("alpha")->id;
  auto resealed = reseal(*store_, next, "c", sealed);
  ASSERT_TRUE(resealed.ok()) << resealed.error().message;
  EXPECT_EQ(sealed_under(*resealed).value(), next);
  ASSERT_TRUE(store_->destroy(key_).ok());
  EXPECT_EQ(opened("c", *resealed), "content");
  EXPECT_EQ(opened("c", sealed), "refused");
  EXPECT_EQ(reseal(*store_, next, "c", sealed).error().code, ErrorCode::refused);
  EXPECT_EQ(reseal(*store_, next, "d", *resealed).error().code, ErrorCode::corrupt);
}

// The vector of docs/formats/envelope.md, computed by other code.
TEST_F(EnvelopeTest, DocumentedPackageOpens) {
  store_.reset();
  KeyId id;
  id.fill(0x11);
  Bytes key(32);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  RawSession(token_directory()).import_key(id, key);
  store_ = KeyStore::open(std::move(open_token()).value(), store_directory()).value();
  const Bytes sealed =
      from_hex(
          "42415554415345410100111111111111111111111111111111112222222222222222222222222222"
          "2222ff4e10a25d25b76460198d1d8eb6a3ce77ce0e6e9bcc2fcb84cf299cc39475e4960d038a06fd"
          "a81fd26379661913b6e63a2e5f963f19969830da581d14ab9dc78d22833f9c6207")
          .value();
  EXPECT_EQ(opened("a context", sealed), "content");
}

TEST_F(EnvelopeTest, LimitsAreKept) {
  EXPECT_EQ(seal(*store_, key_, std::string(1025, 'c'), {}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(open_sealed(*store_, std::string(1025, 'c'), {}).error().code,
            ErrorCode::invalid_argument);
  EXPECT_EQ(seal(*store_, key_, "c", Bytes(kMaxEnvelopeContent_bytes + 1)).error().code,
            ErrorCode::invalid_argument);
  EXPECT_TRUE(seal(*store_, key_, std::string(1024, 'c'), {}).ok());
  EXPECT_EQ(seal(*store_, KeyId{1}, "c", {}).error().code, ErrorCode::not_found);
  ASSERT_TRUE(store_->suspend(key_).ok());
  EXPECT_EQ(seal(*store_, key_, "c", {}).error().code, ErrorCode::refused);
}

}  // namespace
}  // namespace bauta::keys
