#include "services/contract.h"

#include <limits>

#include <gtest/gtest.h>

namespace bauta {
namespace {

v1::EmbeddingContract some_contract() {
  v1::EmbeddingContract contract;
  contract.set_engine("engine");
  contract.set_model_digest(std::string(32, '\1'));
  contract.set_dimension(128);
  contract.set_metric("cosine");
  contract.set_threshold_verify(0.4);
  contract.set_threshold_identify(0.5);
  return contract;
}

TEST(Contract, SerialisesAndParses) {
  v1::EmbeddingContract contract = some_contract();
  for (const double tolerance : {0.0, 0.05}) {
    contract.set_norm_tolerance(tolerance);
    const std::string bytes = serialize_contract(contract);
    const auto parsed = parse_contract(bytes);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(serialize_contract(*parsed), bytes);
    for (size_t size = bytes.size() - 1; size > bytes.size() - 8; --size)
      EXPECT_EQ(parse_contract(bytes.substr(0, size)).error().code, ErrorCode::corrupt);
    EXPECT_EQ(parse_contract(bytes + 'x').error().code, ErrorCode::corrupt);
  }
}

TEST(Contract, ParseFailsIfTheSameContractIsWrittenOtherwise) {
  const std::string bytes = serialize_contract(some_contract());
  EXPECT_EQ(parse_contract(bytes + std::string(9, '\0')).error().code, ErrorCode::corrupt);
  EXPECT_EQ(parse_contract(bytes + std::string(8, '\0') + '\2').error().code, ErrorCode::corrupt);
}

// A contract from when norms could be reported: it is read, and they are not.
TEST(Contract, OneThatReportedNormsIsReadAsOneThatDoesNot) {
  v1::EmbeddingContract contract = some_contract();
  contract.set_norm_tolerance(0.05);
  std::string bytes = serialize_contract(contract);
  bytes.back() = '\1';
  const auto parsed = parse_contract(bytes);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(serialize_contract(*parsed), serialize_contract(contract));
}

TEST(Contract, NothingIsJudgedByThresholdsAndTolerancesThatAreNone) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(check_judgeable(some_contract()).ok());
  for (const double threshold :
       {-2.0, 0.0, -0.0, 0.199, 1.0, 1e300, -1e300, infinity, -infinity, nan, -nan}) {
    v1::EmbeddingContract verify = some_contract(), identify = some_contract();
    verify.set_threshold_verify(threshold);
    identify.set_threshold_identify(threshold);
    EXPECT_EQ(check_judgeable(verify).error().code, ErrorCode::invalid_argument) << threshold;
    EXPECT_EQ(check_judgeable(identify).error().code, ErrorCode::invalid_argument) << threshold;
  }
  for (const double tolerance : {-0.01, 0.081, 1.0, 1e300, infinity, -infinity, nan}) {
    v1::EmbeddingContract contract = some_contract();
    contract.set_norm_tolerance(tolerance);
    EXPECT_EQ(check_judgeable(contract).error().code, ErrorCode::invalid_argument) << tolerance;
  }
  v1::EmbeddingContract widest = some_contract();
  widest.set_threshold_verify(0.2);
  widest.set_threshold_identify(0.999);
  widest.set_norm_tolerance(kMaxNormTolerance);
  EXPECT_TRUE(check_judgeable(widest).ok());
}

}  // namespace
}  // namespace bauta
