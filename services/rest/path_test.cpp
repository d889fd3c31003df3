#include "services/rest/path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bauta::rest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

constexpr const char* kPattern = "/v1/galleries/{gallery}/subjects/{subject}";

TEST(MatchPath, NamesWhatStandsInThePlaces) {
  EXPECT_THAT(match_path(kPattern, "/v1/galleries/door/subjects/a b"),
              Optional(ElementsAre("door", "a b")));
  EXPECT_THAT(match_path("/v1/galleries", "/v1/galleries"), Optional(IsEmpty()));
  EXPECT_THAT(match_path("/", "/"), Optional(IsEmpty()));
}

TEST(MatchPath, OtherPathsDoNotMatch) {
  for (const char* path :
       {"", "/", "/v1", "/v1/galleries/door/subjects", "/v1/galleries/door/subjects/",
        "/v1/galleries//subjects/x", "/v1/galleries/door/subjects/x/", "/v2/galleries/a/subjects/x",
        "/v1/galleries/door/subjects/x/y", "//v1/galleries/door/subjects/x"})
    EXPECT_EQ(match_path(kPattern, path), std::nullopt) << path;
  EXPECT_EQ(match_path("/", "/v1"), std::nullopt);
  EXPECT_EQ(match_path("/v1", "/"), std::nullopt);
}

}  // namespace
}  // namespace bauta::rest
