#include "services/linkage/package.h"

#include <gtest/gtest.h>

namespace bauta::linkage {
namespace {

TEST(Package, ComesBack) {
  const std::vector<Bytes> images{{1, 2, 3}, {}, Bytes(70'000, 9)};
  const SecretBytes package = make_package("{\"age\":30}", images).value();
  const PackageView view = read_package(package.span()).value();
  EXPECT_EQ(view.attributes, "{\"age\":30}");
  ASSERT_EQ(view.images.size(), images.size());
  for (size_t i = 0; i < images.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(view.images[i], images[i]));
}

TEST(Package, CutOrChangedFormsAreRefused) {
  const std::vector<Bytes> images{{1, 2, 3}};
  const SecretBytes package = make_package("{}", images).value();
  for (size_t size = 0; size < package.size(); ++size)
    EXPECT_FALSE(read_package(package.span().first(size)).ok()) << size;
  Bytes longer(package.data(), package.data() + package.size());
  longer.push_back(0);
  EXPECT_FALSE(read_package(longer).ok());
  Bytes other(package.data(), package.data() + package.size());
  other[0] ^= 1;
  EXPECT_FALSE(read_package(other).ok());
}

TEST(Package, LimitsHold) {
  EXPECT_FALSE(make_package("{}", {}).ok());
  EXPECT_FALSE(make_package("{}", std::vector<Bytes>(kMaxImages + 1)).ok());
  EXPECT_FALSE(make_package(std::string(kMaxAttributes_bytes + 1, 'a'), {{Bytes{1}}}).ok());
}

TEST(Attributes, AreAllOptional) {
  EXPECT_EQ(make_attributes("", "", "").value(), "{}");
  EXPECT_EQ(make_attributes("A \"B\"", "30", "x").value(),
            R"({"name":"A \"B\"","gender":"x","age":30})");
}

TEST(Attributes, ThatCannotBeAreRefused) {
  for (const char* age : {"-1", "131", "30a", " 30", "3.5", "x"})
    EXPECT_FALSE(make_attributes("", age, "").ok()) << age;
  EXPECT_FALSE(make_attributes(std::string(201, 'n'), "", "").ok());
  EXPECT_FALSE(make_attributes("", "", std::string(61, 'g')).ok());
  EXPECT_TRUE(make_attributes("\xff", "", "").ok());  // not UTF-8: replaced
}

}  // namespace
}  // namespace bauta::linkage
