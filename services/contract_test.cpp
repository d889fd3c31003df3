#include "services/contract.h"

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
  EXPECT_TRUE(parse_contract(bytes + std::string(8, '\0') + '\1').ok());
}

}  // namespace
}  // namespace bauta
