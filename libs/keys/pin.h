// Where a token's PIN comes from. Never an argument: arguments can be read by every process.
#pragma once

#include <string>
#include <string_view>

#include "base/secret.h"

namespace bauta::keys {

class PinSource {
 public:
  // "fd:N"             an open file descriptor, read to its end once and closed
  // "env:NAME"         an environment variable, overwritten and removed once read
  // "credential:NAME"  a file of that name in $CREDENTIALS_DIRECTORY (systemd LoadCredential=)
  // "file:PATH"        a file, refused when anybody but its owner may read it
  // Error: any other text, a name that is empty or, for a credential, holds a slash.
  static Result<PinSource> parse(std::string_view text);

  // The PIN without its trailing line end: 4 to 255 bytes. Errors name the source, never the PIN.
  Result<SecretBytes> read() const;

  const std::string& text() const { return text_; }

 private:
  enum class Kind { descriptor, environment, credential, file };
  PinSource(Kind kind, std::string name, std::string text)
      : kind_(kind), name_(std::move(name)), text_(std::move(text)) {}

  Kind kind_;
  std::string name_;
  std::string text_;
};

}  // namespace bauta::keys
