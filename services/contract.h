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

// Longer templates do not fit the modulus of the scores.
inline constexpr double kMaxNormTolerance = 0.08;

// SHA-256 of those bytes.
Digest contract_digest(const v1::EmbeddingContract& contract);

// Whether the key service judges by it: thresholds in [0.2, 1), a norm tolerance of at most 0.08.
// Error invalid_argument, naming the value and what it may be.
Status check_judgeable(const v1::EmbeddingContract& contract);

}  // namespace bauta
