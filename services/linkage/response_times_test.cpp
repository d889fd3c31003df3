#include "services/linkage/response_times.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace bauta::linkage {
namespace {

// As an edge shows them, among others.
std::string page(double count, double total_s, double encrypt_s, double match_s, double decide_s) {
  std::string text = "# TYPE bauta_requests_total counter\nbauta_requests_total{role=\"edge\"} 7\n";
  const auto add = [&](const char* part, double sum_s) {
    text += fmt::format(
        "bauta_recognition_seconds_count{{role=\"edge\",part=\"{0}\"}} {1}\n"
        "bauta_recognition_seconds_sum{{role=\"edge\",part=\"{0}\"}} {2}\n"
        "bauta_recognition_seconds_bucket{{role=\"edge\",part=\"{0}\",le=\"0.1\"}} {1}\n",
        part, count, sum_s);
  };
  add("encrypt", encrypt_s);
  add("match", match_s);
  add("decide", decide_s);
  add("total", total_s);
  return text;
}

TEST(ResponseTimes, AreTheMeansBetweenTwoSamples) {
  ResponseTimes times("");
  ASSERT_TRUE(times.sample(page(10, 5, 1, 1, 1), 1000).ok());
  EXPECT_TRUE(times.newest().empty());  // when those were made is not known
  ASSERT_TRUE(times.sample(page(10, 5, 1, 1, 1), 2000).ok());
  EXPECT_TRUE(times.newest().empty());
  ASSERT_TRUE(times.sample(page(14, 5.4, 1.04, 1.08, 1.12), 3000).ok());
  ASSERT_EQ(times.newest().size(), 1u);
  const ResponseTime time = times.newest()[0];
  EXPECT_EQ(time.time_ms, 3000);
  EXPECT_EQ(time.recognitions, 4u);
  EXPECT_NEAR(time.encryption_ms, 10, 1e-6);
  EXPECT_NEAR(time.distances_ms, 20, 1e-6);
  EXPECT_NEAR(time.minimum_ms, 30, 1e-6);
  EXPECT_NEAR(time.others_ms, 40, 1e-6);
}

TEST(ResponseTimes, MissNothingThatIsCountedMeanwhile) {
  ResponseTimes times("");
  ASSERT_TRUE(times.sample(page(1, 0.1, 0.01, 0.01, 0.01), 1000).ok());
  ASSERT_TRUE(times.sample(page(1, 0.1, 0.03, 0.01, 0.01), 2000).ok());  // not in the total yet
  ASSERT_TRUE(times.sample(page(2, 0.2, 0.03, 0.02, 0.02), 3000).ok());
  ASSERT_EQ(times.newest().size(), 1u);
  EXPECT_NEAR(times.newest()[0].encryption_ms, 20, 1e-6);
}

TEST(ResponseTimes, BeginAnewWithTheEdge) {
  ResponseTimes times("");
  ASSERT_TRUE(times.sample("", 500).ok());  // nobody recognised yet
  ASSERT_TRUE(times.sample(page(10, 5, 1, 1, 1), 1000).ok());
  ASSERT_TRUE(times.sample(page(2, 0.4, 0.1, 0.1, 0.1), 2000).ok());
  ASSERT_EQ(times.newest().size(), 2u);
  EXPECT_EQ(times.newest()[1].recognitions, 2u);
  EXPECT_NEAR(times.newest()[1].others_ms, 50, 1e-6);
}

TEST(ResponseTimes, KeepsTheNewest) {
  ResponseTimes times("");
  for (int i = 0; i <= 1000; ++i) ASSERT_TRUE(times.sample(page(i + 1, i, 0, 0, 0), i).ok());
  EXPECT_EQ(times.newest().size(), 600u);
  EXPECT_EQ(times.newest().back().time_ms, 1000);
}

TEST(ResponseTimes, RefusesWhatIsNoSuchPage) {
  ResponseTimes times("");
  const std::string good = page(1, 1, 0, 0, 0);
  for (const std::string& bad :
       {good.substr(0, good.find("part=\"total\"")),
        std::string("bauta_recognition_seconds_sum{part=\"total\"} NaN\n"),
        std::string("bauta_recognition_seconds"), page(-1, 1, 0, 0, 0), page(1, -1, 0, 0, 0)})
    EXPECT_FALSE(times.sample(bad, 1).ok()) << bad;
  EXPECT_TRUE(times.newest().empty());
}

TEST(ResponseTimes, SaysWhenTheEdgeDoesNotAnswer) {
  EXPECT_EQ(ResponseTimes("127.0.0.1:1").sample().error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace bauta::linkage
