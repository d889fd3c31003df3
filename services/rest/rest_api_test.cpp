#include "services/rest/rest_api.h"

#include <future>
#include <stdexcept>

#include <gtest/gtest.h>

#include "services/rest/fake_services.h"

namespace bauta::rest {
namespace {

Response remove_gallery(RestApi& api, const std::string& gallery,
                        const std::string& idempotency_key) {
  Head head;
  head.method = "DELETE";
  head.path = "/v1/galleries/" + gallery;
  head.authorization = "Bearer secret";
  head.idempotency_key = idempotency_key;
  Admitted admitted;
  Response refusal;
  if (!api.admit(head, admitted, refusal)) return refusal;
  return api.answer(head, admitted, {});
}

TEST(RestApiTest, RepeatsAnAnswerAndForgetsTheOldest) {
  FakeEdge edge(RestLimits{.max_remembered = 2});
  int calls = 0;
  edge.auth.on_delete = [&](const std::string&) {
    ++calls;
    return Status();
  };
  for (const char* key : {"a", "b", "a", "b"})
    EXPECT_EQ(remove_gallery(*edge.api, "g", key).status, 204);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(remove_gallery(*edge.api, "h", "b").status, 422);
  EXPECT_EQ(remove_gallery(*edge.api, "g", "c").status, 204);  // in the place of a
  EXPECT_EQ(remove_gallery(*edge.api, "g", "b").status, 204);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(remove_gallery(*edge.api, "g", "a").status, 204);
  EXPECT_EQ(calls, 4);
}

TEST(RestApiTest, FreesTheKeyOfARequestThatFailed) {
  FakeEdge edge;
  edge.auth.on_delete = [](const std::string&) -> Status { throw std::runtime_error("thrown"); };
  EXPECT_THROW(remove_gallery(*edge.api, "g", "a"), std::runtime_error);
  edge.auth.on_delete = [](const std::string&) -> Status {
    return make_error(ErrorCode::unavailable, "down");
  };
  EXPECT_EQ(remove_gallery(*edge.api, "g", "a").status, 503);
  edge.auth.on_delete = [](const std::string&) { return Status(); };
  EXPECT_EQ(remove_gallery(*edge.api, "g", "a").status, 204);
}

TEST(RestApiTest, ForgetsNoRequestThatIsAtWork) {
  FakeEdge edge(RestLimits{.max_remembered = 1});
  std::promise<void> begun, go_on;
  edge.auth.on_delete = [&](const std::string& gallery) {
    if (gallery == "slow") {
      begun.set_value();
      go_on.get_future().wait();
    }
    return Status();
  };
  auto slow =
      std::async(std::launch::async, [&] { return remove_gallery(*edge.api, "slow", "a").status; });
  begun.get_future().wait();
  EXPECT_EQ(remove_gallery(*edge.api, "slow", "a").status, 409);
  EXPECT_EQ(remove_gallery(*edge.api, "g", "b").status, 503);
  go_on.set_value();
  EXPECT_EQ(slow.get(), 204);
  EXPECT_EQ(remove_gallery(*edge.api, "slow", "a").status, 204);  // kept: begun is set once only
  EXPECT_EQ(remove_gallery(*edge.api, "g", "b").status, 204);
}

}  // namespace
}  // namespace bauta::rest
