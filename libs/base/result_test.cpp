#include "base/result.h"

#include <memory>

#include <gtest/gtest.h>

namespace bauta {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return make_error(ErrorCode::invalid_argument, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  BAUTA_TRY(int once, half(number));
  BAUTA_TRY(int twice, half(once));
  return twice;
}

Status check_even(int number) {
  BAUTA_CHECK(half(number));
  return {};
}

TEST(Result, PassesValuesAndErrorsOn) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "3 is odd");
  EXPECT_EQ(quarter(6).error().code, ErrorCode::invalid_argument);
  EXPECT_TRUE(check_even(4).ok());
  EXPECT_FALSE(check_even(5).ok());
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, ValueOfAnErrorStopsTheProcess) {
  EXPECT_DEATH((void)half(1).value(), "does not hold");
}

}  // namespace
}  // namespace bauta
