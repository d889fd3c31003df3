#include "keys/pin.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bauta::keys {
namespace {

constexpr size_t kMinPinSize_bytes = 4;
constexpr size_t kMaxPinSize_bytes = 255;

Result<SecretBytes> checked_pin(std::span<const uint8_t> text, const std::string& source) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
    text = text.first(text.size() - 1);
  if (text.size() < kMinPinSize_bytes || text.size() > kMaxPinSize_bytes)
    return make_error(ErrorCode::invalid_argument, "the PIN from {} has {} bytes; give {} to {}",
                      source, text.size(), kMinPinSize_bytes, kMaxPinSize_bytes);
  BAUTA_TRY(SecretBytes pin, SecretBytes::create(text.size()));
  std::copy(text.begin(), text.end(), pin.data());
  return pin;
}

// Reads to the end, at most what a PIN and its line end can take and one byte more.
Result<SecretBytes> pin_from_descriptor(int descriptor, const std::string& source) {
  BAUTA_TRY(SecretBytes text, SecretBytes::create(kMaxPinSize_bytes + 3));
  size_t size_bytes = 0;
  while (size_bytes < text.size()) {
    const ssize_t count = read(descriptor, text.data() + size_bytes, text.size() - size_bytes);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return make_error(ErrorCode::unavailable, "cannot read the PIN from {}: {}", source,
                        std::strerror(errno));
    if (count == 0) break;
    size_bytes += static_cast<size_t>(count);
  }
  return checked_pin(text.span().first(size_bytes), source);
}

Result<SecretBytes> pin_from_file(const std::string& path, bool owner_only,
                                  const std::string& source) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0)
    return make_error(errno == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                      "cannot open the PIN from {}: {}", source, std::strerror(errno));
  struct stat status {};
  Result<SecretBytes> pin =
      fstat(descriptor, &status) != 0 || (owner_only && (status.st_mode & 077) != 0)
          ? make_error(ErrorCode::refused,
                       "the PIN from {} may be read by others than its owner; make its mode 0600",
                       source)
          : pin_from_descriptor(descriptor, source);
  close(descriptor);
  return pin;
}

Result<SecretBytes> pin_from_environment(const std::string& name, const std::string& source) {
  char* value = std::getenv(name.c_str());
  if (value == nullptr)
    return make_error(ErrorCode::not_found,
                      "cannot read the PIN from {}: the environment variable is not set", source);
  const std::span<uint8_t> text(reinterpret_cast<uint8_t*>(value), std::strlen(value));
  Result<SecretBytes> pin = checked_pin(text, source);
  wipe(text);  // it would stay readable in /proc/PID/environ
  unsetenv(name.c_str());
  return pin;
}

Result<SecretBytes> pin_from_credential(const std::string& name, const std::string& source) {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr)
    return make_error(ErrorCode::not_found,
                      "cannot read the PIN from {}: $CREDENTIALS_DIRECTORY is not set; start the "
                      "service with LoadCredential= or LoadCredentialEncrypted=",
                      source);
  // systemd gives these files to the service's user alone, sometimes by an access list.
  return pin_from_file(std::string(directory) + "/" + name, false, source);
}

}  // namespace

Result<PinSource> PinSource::parse(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view scheme = text.substr(0, colon);
  const std::string name(colon == text.npos ? std::string_view() : text.substr(colon + 1));
  int number = 0;
  if (!name.empty()) {
    if (scheme == "env") return PinSource(Kind::environment, name, std::string(text));
    if (scheme == "file") return PinSource(Kind::file, name, std::string(text));
    if (scheme == "credential" && name.find('/') == name.npos)
      return PinSource(Kind::credential, name, std::string(text));
    const auto [end, reason] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (scheme == "fd" && reason == std::errc() && end == name.data() + name.size() && number >= 0)
      return PinSource(Kind::descriptor, name, std::string(text));
  }
  // The text is not repeated: somebody may have written the PIN itself.
  return make_error(ErrorCode::invalid_argument,
                    "a PIN source is fd:NUMBER, env:NAME, credential:NAME or file:PATH; the PIN "
                    "itself is never given");
}

Result<SecretBytes> PinSource::read() const {
  switch (kind_) {
    case Kind::environment:
      return pin_from_environment(name_, text_);
    case Kind::credential:
      return pin_from_credential(name_, text_);
    case Kind::file:
      return pin_from_file(name_, true, text_);
    case Kind::descriptor:
      break;
  }
  const int descriptor = std::atoi(name_.c_str());
  Result<SecretBytes> pin = pin_from_descriptor(descriptor, text_);
  close(descriptor);
  return pin;
}

}  // namespace bauta::keys
