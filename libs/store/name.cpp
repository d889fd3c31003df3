#include <algorithm>

#include "store/catalogue.h"

namespace bauta::store {
namespace {

// Not std::isalnum, which depends on the locale.
bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_allowed(char c) {
  return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
}

}  // namespace

// The refused name is not repeated: it may hold bytes that are unsafe in a log.
Status check_name(std::string_view what, std::string_view name) {
  if (name.empty())
    return make_error(ErrorCode::invalid_argument, "the {} name is empty; give 1 to {} characters",
                      what, kMaxNameBytes);
  if (name.size() > kMaxNameBytes)
    return make_error(ErrorCode::invalid_argument,
                      "the {} name has {} bytes; at most {} are allowed", what, name.size(),
                      kMaxNameBytes);
  if (!is_letter_or_digit(name.front()) || !std::all_of(name.begin(), name.end(), is_allowed))
    return make_error(ErrorCode::invalid_argument,
                      "the {} name holds a character that is not allowed; use A-Z a-z 0-9 . _ - "
                      "and begin with a letter or digit",
                      what);
  return {};
}

}  // namespace bauta::store
