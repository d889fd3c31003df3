#include "ckks/key_id.h"

namespace bauta::ckks {

Status check_key_id(std::string_view what, const KeyId& actual, const KeyId& expected) {
  if (actual == expected) return {};
  return make_error(ErrorCode::mismatch, "the {} is under key {}, but key {} is wanted here", what,
                    to_hex(actual), to_hex(expected));
}

}  // namespace bauta::ckks
