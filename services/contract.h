// The embedding contract as bytes with one meaning: what galleries store and compare.
#pragma once

#include "base/digest.h"
#include "bauta/v1/types.pb.h"

namespace bauta {

// Canonical: equal contracts give equal bytes, in any process and version.
std::string serialize_contract(const v1::EmbeddingContract& contract);

// Errors: corrupt.
Result<v1::EmbeddingContract> parse_contract(std::string_view bytes);

// Error mismatch, naming the first field in which they differ and both values.
Status check_same_contract(const v1::EmbeddingContract& gallery,
                           const v1::EmbeddingContract& offered);

}  // namespace bauta
