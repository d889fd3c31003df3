// Result<T>: a value, or an Error that a person can act on.
//
// For what can go wrong in the world (files, input, other parties). What would be a bug of our own
// is BAUTA_ASSERT. No exception crosses a library's boundary.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

namespace bauta {

// Persistent: the values travel between processes and stand in the audit log. Append only.
enum class ErrorCode : int {
  invalid_argument = 1,  // the caller's input is wrong; nothing changed
  not_found = 2,         // the named gallery, subject, file or key does not exist
  already_exists = 3,    // it exists; creating it again is refused
  corrupt = 4,           // bytes fail their checksum or break their format
  mismatch = 5,          // valid in itself, but of another key, contract or parameter set
  refused = 6,           // policy: not allowed, or a face that cannot be used
  busy = 7,              // another process holds it; try again
  no_space = 8,          // the disk or a limit is full
  unavailable = 9,       // a token, module, service or file system does not answer
  internal = 10,         // a bug of ours that was caught
};

// Snake-case name of a code, as printed in JSON.
constexpr const char* error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::already_exists:
      return "already_exists";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::mismatch:
      return "mismatch";
    case ErrorCode::refused:
      return "refused";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::no_space:
      return "no_space";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::internal:
      return "internal";
  }
  return "internal";
}

// What went wrong, with what, and what to do about it, in one or two plain sentences without
// secrets.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

template <typename... Args>
Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

[[noreturn]] inline void assertion_failed(const char* expression, const char* file, int line) {
  fmt::print(stderr, "bauta: internal error at {}:{}: {} does not hold\n", file, line, expression);
  std::abort();
}

// Holds in every build: a broken invariant stops the process before it can answer wrongly.
#define BAUTA_ASSERT(condition) \
  ((condition) ? void(0) : ::bauta::assertion_failed(#condition, __FILE__, __LINE__))

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // Precondition: ok().
  T& value() & {
    BAUTA_ASSERT(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    BAUTA_ASSERT(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    BAUTA_ASSERT(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Precondition: !ok().
  const Error& error() const {
    BAUTA_ASSERT(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    BAUTA_ASSERT(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

#define BAUTA_CONCAT_INNER(a, b) a##b
#define BAUTA_CONCAT(a, b) BAUTA_CONCAT_INNER(a, b)

// BAUTA_TRY(auto x, f()): x is f's value, or the enclosing function returns f's error.
#define BAUTA_TRY(declaration, expression) \
  BAUTA_TRY_INNER(BAUTA_CONCAT(bauta_result_, __LINE__), declaration, expression)
#define BAUTA_TRY_INNER(result, declaration, expression) \
  auto result = (expression);                            \
  if (!result.ok()) return result.error();               \
  declaration = std::move(result).value()

// BAUTA_CHECK(f()): the enclosing function returns f's error, if there is one.
#define BAUTA_CHECK(expression)                                                            \
  do {                                                                                     \
    if (auto bauta_status = (expression); !bauta_status.ok()) return bauta_status.error(); \
  } while (false)

}  // namespace bauta
