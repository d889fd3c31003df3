#include "services/grants/grants.h"

#include <chrono>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file.h"
#include "services/grants/test_grants.h"

namespace bauta::grants {
namespace {

namespace fs = std::filesystem;

constexpr auto kRecognise = static_cast<uint8_t>(Right::recognise);

class GrantsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-grants-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    list_.number = 1;
    give("door", "default", "staff", kRecognise);
    give("desk", "default", "*", kAllRights);
    give("local", "*", "*", kAllRights);
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path file() const { return directory_ / "grants"; }
  void give(const std::string& edge, const std::string& tenant, const std::string& gallery,
            uint8_t rights, int64_t not_after_ms = 0) {
    ASSERT_TRUE(list_.give({edge, tenant, gallery, rights, not_after_ms, list_.number}).ok());
  }
  void write() { write(signer_.sign(list_)); }
  void write(const SignedGrants& grants) {
    ASSERT_TRUE(write_file_atomically(file(), serialize(grants)).ok());
  }
  Result<std::unique_ptr<Grants>> open(uint64_t least_number = 0) {
    return Grants::open(
        file(),
        [this]() -> Result<std::vector<TrustedKey>> {
          return std::vector<TrustedKey>{signer_.trusted};
        },
        least_number);
  }

  fs::path directory_;
  TestSigner signer_{1};
  GrantList list_;
};

TEST_F(GrantsTest, AllowNothingThatIsNotGranted) {
  write();
  const auto grants = open().value();
  EXPECT_TRUE(grants->check("door", "default", "staff", Right::recognise).ok());
  for (const Right right : {Right::enrol, Right::erase, Right::admin})
    EXPECT_FALSE(grants->check("door", "default", "staff", right).ok());
  EXPECT_FALSE(grants->check("door", "default", "other", Right::recognise).ok());
  EXPECT_FALSE(grants->check("door", "other", "staff", Right::recognise).ok());
  EXPECT_FALSE(grants->check("doo", "default", "staff", Right::recognise).ok());
  EXPECT_FALSE(grants->check("door2", "default", "staff", Right::recognise).ok());
  EXPECT_FALSE(grants->check("", "default", "staff", Right::recognise).ok());
  EXPECT_TRUE(grants->check("desk", "default", "any", Right::admin).ok());
  EXPECT_FALSE(grants->check("desk", "other", "any", Right::admin).ok());
  EXPECT_TRUE(grants->check("local", "other", "any", Right::admin).ok());
  EXPECT_TRUE(grants->check_any_right("door", "", "staff").ok());
  EXPECT_FALSE(grants->check_any_right("door", "", "other").ok());
  EXPECT_TRUE(grants->check_known("door", "default").ok());
  EXPECT_FALSE(grants->check_known("door", "other").ok());
}

TEST_F(GrantsTest, RefusalsNameTheCommandThatHelps) {
  write();
  const Status refused = open().value()->check("door", "default", "staff", Right::enrol);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::refused);
  EXPECT_NE(refused.error().message.find(
                "bauta grants give door --tenant default --gallery staff --rights enrol"),
            std::string::npos)
      << refused.error().message;
}

TEST_F(GrantsTest, EndOnTheirDate) {
  give("yesterday", "default", "staff", kAllRights, now_ms() - 86'400'000);
  give("soon", "default", "staff", kAllRights, now_ms() + 300);
  write();
  const auto grants = open().value();
  const Status ended = grants->check("yesterday", "default", "staff", Right::recognise);
  ASSERT_FALSE(ended.ok());
  EXPECT_NE(ended.error().message.find("ended on"), std::string::npos) << ended.error().message;
  EXPECT_TRUE(grants->check("soon", "default", "staff", Right::recognise).ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_FALSE(grants->check("soon", "default", "staff", Right::recognise).ok());
}

TEST_F(GrantsTest, RevokedEdgesHaveNothing) {
  list_.revoke("desk");
  EXPECT_EQ(list_.give({"desk", "default", "staff", kAllRights, 0, 1}).error().code,
            ErrorCode::refused);
  write();
  const auto grants = open().value();
  EXPECT_FALSE(grants->check("desk", "default", "staff", Right::recognise).ok());
  EXPECT_FALSE(grants->check_not_revoked("desk").ok());
  EXPECT_TRUE(grants->check_not_revoked("door").ok());
  EXPECT_TRUE(grants->check_not_revoked("never heard of").ok());
  grants->revoke_here({"door"});
  EXPECT_FALSE(grants->check_not_revoked("door").ok());
  EXPECT_FALSE(grants->check("door", "default", "staff", Right::recognise).ok());
}

TEST_F(GrantsTest, FollowTheFile) {
  const auto grants = open().value();
  EXPECT_FALSE(grants->check("door", "default", "staff", Right::recognise).ok());
  write();
  std::this_thread::sleep_for(std::chrono::milliseconds(kGrantsFollow_ms + 50));
  EXPECT_TRUE(grants->check("door", "default", "staff", Right::recognise).ok());
  EXPECT_EQ(list_.take("door", "default", "staff").size(), 1u);
  ++list_.number;
  write();
  std::this_thread::sleep_for(std::chrono::milliseconds(kGrantsFollow_ms + 50));
  EXPECT_FALSE(grants->check("door", "default", "staff", Right::recognise).ok());
  EXPECT_EQ(grants->number(), 2u);
}

TEST_F(GrantsTest, OlderListsAreRefusedWhileRunningAndAtAStart) {
  const SignedGrants first = signer_.sign(list_);
  list_.number = 7;
  write();
  const auto grants = open(7).value();
  EXPECT_TRUE(grants->check_known("door", "default").ok());
  write(first);
  grants->follow();
  EXPECT_EQ(grants->check_known("door", "default").error().code, ErrorCode::corrupt);
  EXPECT_EQ(open(7).error().code, ErrorCode::corrupt);
  fs::remove(file());
  grants->follow();
  EXPECT_EQ(grants->check_known("door", "default").error().code, ErrorCode::corrupt);
  EXPECT_EQ(open(7).error().code, ErrorCode::corrupt);
  write();
  grants->follow();
  EXPECT_TRUE(grants->check_known("door", "default").ok());
}

TEST_F(GrantsTest, OnlyTheKeyServiceMakesThem) {
  write(TestSigner(1).sign(list_));
  EXPECT_EQ(open().error().code, ErrorCode::corrupt);
  write(TestSigner(2).sign(list_));
  EXPECT_EQ(open().error().code, ErrorCode::corrupt);
  const Bytes good = serialize(signer_.sign(list_));
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes changed = good;
    changed[i] ^= 1;
    ASSERT_TRUE(write_file_atomically(file(), changed).ok());
    EXPECT_EQ(open().error().code, ErrorCode::corrupt) << i;
  }
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(parse_grants(ByteView(good).first(size)).ok());
}

TEST_F(GrantsTest, ListsHaveOneForm) {
  const Bytes good = serialize(signer_.sign(list_));
  EXPECT_EQ(serialize(parse_grants(good).value()), good);
  const auto refused = [&](auto change) {
    GrantList list = list_;
    change(list);
    return !parse_grants(serialize(signer_.sign(list))).ok();
  };
  EXPECT_TRUE(refused([](GrantList& list) { std::swap(list.grants[0], list.grants[1]); }));
  EXPECT_TRUE(refused([](GrantList& list) { list.grants[1] = list.grants[0]; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.grants[0].rights = 0; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.grants[0].rights = 16; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.grants[0].edge = "../desk"; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.grants[0].number = 2; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.revoked = {"desk"}; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.revoked = {"b", "a"}; }));
  EXPECT_TRUE(refused([](GrantList& list) { list.number = 0; }));
}

// docs/formats/grants.md
TEST_F(GrantsTest, TestVector) {
  GrantList list;
  list.number = 2;
  ASSERT_TRUE(list.give({"door-1", "default", "staff", 3, 1'800'000'000'000, 1}).ok());
  list.revoke("old");
  EXPECT_EQ(to_hex(serialize(list)),
            "42415554414752414e5453310a"
            "0200000000000000"
            "01000000"
            "06000000646f6f722d31"
            "0700000064656661756c74"
            "050000007374616666"
            "03"
            "00505c18a3010000"
            "0100000000000000"
            "01000000"
            "030000006f6c64");
}

TEST(Rights, HaveNames) {
  EXPECT_EQ(parse_rights("recognise,enrol").value(), 3);
  EXPECT_EQ(parse_rights("admin").value(), 8);
  EXPECT_EQ(rights_text(kAllRights), "recognise,enrol,erase,admin");
  for (const char* text : {"", "all", "recognise,", ",", "enrol,,erase", "Enrol"})
    EXPECT_EQ(parse_rights(text).ok(), std::string_view(text) == "recognise,") << text;
}

}  // namespace
}  // namespace bauta::grants
