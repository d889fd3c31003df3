// What each request to the key service costs: the one table that says what decrypts. A test
// enumerates the rpcs of proto/bauta/v1 and fails on one without a line here.
#pragma once

#include <array>
#include <string_view>

namespace bauta::key {

enum class Cost {
  nothing,   // gives keys or states; decrypts nothing
  decision,  // a ticket, a decision, log2 of what the answer can say
  admission  // a ticket, a bit for each reference, or the byte of a measured length
};

struct ChargeLine {
  std::string_view rpc;  // service and method
  Cost cost;
};

inline constexpr std::array kCharges = {
    ChargeLine{"Key.GetEvaluationKeys", Cost::nothing},
    ChargeLine{"Key.GetEdgeSwitchingKey", Cost::nothing},
    ChargeLine{"Key.GetImageKeys", Cost::nothing},
    ChargeLine{"Key.GetRenewalKey", Cost::nothing},  // on record
    ChargeLine{"Key.GetGrants", Cost::nothing},
    ChargeLine{"Key.GetSuccessor", Cost::nothing},
    ChargeLine{"Key.RegisterContract", Cost::nothing},
    ChargeLine{"Key.Admit", Cost::admission},
    ChargeLine{"Key.Decide", Cost::decision},
    ChargeLine{"EdgeKeys.GetActiveKey", Cost::nothing},
    ChargeLine{"EdgeKeys.GetEdgeKey", Cost::nothing},
    ChargeLine{"Oversight.ListKeys", Cost::nothing},
    ChargeLine{"Oversight.CheckDecisions", Cost::nothing},
};

}  // namespace bauta::key
