#include "keys/embedded_token.h"

#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "keys/module.h"
#include "keys/softhsm.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLabel = "bauta";
constexpr size_t kPinRandom_bytes = 16;
constexpr int64_t kLockWait_ms = 10'000;
constexpr size_t kMaxTokenFile_bytes = size_t{1} << 20;
constexpr const char* kTokenFile = "token.object";
constexpr const char* kModulePaths[] = {
    "/usr/lib/softhsm/libsofthsm2.so",   // Debian, Ubuntu
    "/usr/lib64/pkcs11/libsofthsm2.so",  // Fedora
    "/usr/lib/pkcs11/libsofthsm2.so",    // Arch
    "/usr/local/lib/softhsm/libsofthsm2.so",
};

fs::path installed_module() {
  std::error_code reason;
  for (const char* path : kModulePaths)
    if (fs::exists(path, reason)) return path;
  return kModulePaths[0];
}

fs::path tokens_of(const fs::path& directory) {
  return directory / "tokens";
}
// The copies of the tokens' own files, each named as its token.
fs::path copies_of(const fs::path& directory) {
  return directory / "token-copies";
}
fs::path user_pin_of(const fs::path& directory) {
  return directory / "user-pin";
}
fs::path officer_pin_of(const fs::path& directory) {
  return directory / "so-pin";
}

Result<PinSource> pin_file(const fs::path& path) {
  return PinSource::parse("file:" + path.string());
}

// Error unless the directory is ours alone.
Status check_private(const fs::path& directory) {
  struct stat status {};
  if (stat(directory.c_str(), &status) != 0)
    return make_error(ErrorCode::unavailable, "cannot examine the token directory {}: {}",
                      directory.string(), std::strerror(errno));
  if (status.st_uid != geteuid() || (status.st_mode & 077) != 0)
    return make_error(ErrorCode::refused,
                      "the token directory {} must belong to the user that runs this and have "
                      "mode 0700",
                      directory.string());
  return {};
}

Status write_random_pin(const fs::path& path) {
  BAUTA_TRY(SecretBytes random, SecretBytes::create(kPinRandom_bytes));
  BAUTA_TRY(SecretBytes text, SecretBytes::create(2 * kPinRandom_bytes));
  random_bytes(random.span());
  for (size_t i = 0; i < random.size(); ++i) {
    // Letters without a table, so that no address depends on the PIN.
    text.data()[2 * i] = static_cast<uint8_t>('a' + (random.data()[i] >> 4));
    text.data()[2 * i + 1] = static_cast<uint8_t>('a' + (random.data()[i] & 15));
  }
  return write_file_atomically(path, text.span(), 0600);
}

// Has SoftHSM2 read, at its next start, where its tokens lie.
Status write_configuration(const fs::path& path, const fs::path& tokens) {
  if (tokens.string().find_first_of("#\n") != std::string::npos)
    return make_error(ErrorCode::invalid_argument,
                      "{} has a '#' or a line end in its name, which SoftHSM2 cannot read; choose "
                      "another directory",
                      tokens.string());
  const std::string wanted = fmt::format(
      "# Written anew by bauta whenever this directory has moved.\n"
      "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
      tokens.string());
  const Result<Bytes> present = read_file(path, wanted.size());
  if (!present.ok() || as_text(*present) != wanted)
    BAUTA_CHECK(write_file_atomically(path, as_bytes(wanted), 0600));
  const char* selected = std::getenv("SOFTHSM2_CONF");
  if (selected == nullptr || path.string() != selected) setenv("SOFTHSM2_CONF", path.c_str(), 1);
  return {};
}

// Logs in as security officer on a session of its own and sets the user's PIN.
Status set_user_pin(const Module& module, const Slot& slot, SecretBytes& officer_pin,
                    SecretBytes& user_pin) {
  CK_SESSION_HANDLE session = 0;
  CK_RV result = module->C_OpenSession(slot.id, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                       nullptr, &session);
  if (result == CKR_OK)
    result = module->C_Login(session, CKU_SO, officer_pin.data(), officer_pin.size());
  if (result == CKR_OK) result = module->C_InitPIN(session, user_pin.data(), user_pin.size());
  if (result != CKR_OK) return token_error(result, "set the user PIN", kLabel);
  return {};
}

// In the tokens directory that SoftHSM2 has been pointed at, with the PINs of the files.
Status initialise_token(const fs::path& directory, Module& module) {
  BAUTA_TRY(const PinSource officer_source, pin_file(officer_pin_of(directory)));
  BAUTA_TRY(const PinSource user_source, pin_file(user_pin_of(directory)));
  BAUTA_TRY(SecretBytes officer_pin, officer_source.read());
  BAUTA_TRY(SecretBytes user_pin, user_source.read());
  if (const CK_RV result = module.initialise(); result != CKR_OK)
    return make_error(ErrorCode::unavailable,
                      "the PKCS#11 module {} does not start (error {:#x}); see the system log",
                      module.path().string(), result);
  BAUTA_TRY(const Slot free, find_free_slot(module));
  CK_UTF8CHAR padded[32];
  std::memset(padded, ' ', sizeof padded);
  std::memcpy(padded, kLabel.data(), kLabel.size());
  CK_RV result = module->C_InitToken(free.id, officer_pin.data(), officer_pin.size(), padded);
  if (result != CKR_OK && is_disk_full(directory)) result = CKR_DEVICE_MEMORY;
  if (result != CKR_OK) return token_error(result, "make a token", kLabel);
  BAUTA_TRY(const Slot made, find_token(module, kLabel));
  BAUTA_CHECK(set_user_pin(module, made, officer_pin, user_pin));
  module.finalise();
  return {};
}

}  // namespace

Status select_softhsm_directory(const fs::path& directory) {
  std::error_code reason;
  const fs::path absolute = fs::absolute(directory, reason).lexically_normal();
  if (!fs::is_directory(tokens_of(absolute), reason))
    return make_error(ErrorCode::not_found,
                      "the token directory {} is missing or holds no tokens; restore it, or make "
                      "a new token with 'bauta keys init'",
                      absolute.string());
  return write_configuration(absolute / "softhsm2.conf", tokens_of(absolute));
}

Result<FileLock> lock_softhsm_directory(const fs::path& directory) {
  return FileLock::acquire(directory / "lock", kLockWait_ms);
}

Status sync_softhsm_directory(const fs::path& directory) {
  const auto sync = [](const fs::path& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return errno == ENOENT;  // another process has just removed a key
    const bool synced = fsync(descriptor) == 0;
    close(descriptor);
    return synced;
  };
  std::error_code reason;
  bool synced = sync(directory);
  for (fs::recursive_directory_iterator entry(directory, reason), end; !reason && entry != end;
       entry.increment(reason))
    synced = sync(entry->path()) && synced;
  if (synced && !reason) return {};
  return make_error(ErrorCode::unavailable, "cannot write the token directory {} to the disk",
                    directory.string());
}

Status keep_token_files(const fs::path& directory) {
  BAUTA_CHECK(create_directory(copies_of(directory), 0700));
  std::error_code reason;
  for (fs::directory_iterator token(tokens_of(directory), reason), end; !reason && token != end;
       token.increment(reason)) {
    const Result<Bytes> file = read_file(token->path() / kTokenFile, kMaxTokenFile_bytes);
    if (!file.ok() || file->empty()) continue;
    const fs::path copy = copies_of(directory) / token->path().filename();
    if (const Result<Bytes> kept = read_file(copy, kMaxTokenFile_bytes);
        !kept.ok() || *kept != *file)
      BAUTA_CHECK(write_file_atomically(copy, *file, 0600));
  }
  return {};
}

Status mend_token_files(const fs::path& directory) {
  std::error_code reason;
  for (fs::directory_iterator copy(copies_of(directory), reason), end; !reason && copy != end;
       copy.increment(reason)) {
    const fs::path token = tokens_of(directory) / copy->path().filename();
    const Result<Bytes> kept = read_file(copy->path(), kMaxTokenFile_bytes);
    if (!kept.ok() || !fs::is_directory(token, reason)) continue;
    const Result<Bytes> file = read_file(token / kTokenFile, kMaxTokenFile_bytes);
    if (file.ok() && file->size() >= kept->size()) continue;
    BAUTA_CHECK(write_file_atomically(token / kTokenFile, *kept, 0600));
  }
  return {};
}

bool is_disk_full(const fs::path& directory) {
  struct statvfs status {};
  return statvfs(directory.c_str(), &status) == 0 &&
         (status.f_bavail == 0 || (status.f_files != 0 && status.f_favail == 0));
}

Result<fs::path> default_token_directory() {
  if (const char* configured = std::getenv("BAUTA_TOKEN"); configured != nullptr && *configured)
    return fs::path(configured);
  if (const char* home = std::getenv("HOME"); home != nullptr && *home)
    return fs::path(home) / ".local/share/bauta-token";
  return make_error(ErrorCode::invalid_argument,
                    "neither BAUTA_TOKEN nor HOME is set; set BAUTA_TOKEN to the token's "
                    "directory");
}

TokenConfig embedded_token_config(const fs::path& directory, const fs::path& module_path) {
  return {.module_path = module_path.empty() ? installed_module() : module_path,
          .label = std::string(kLabel),
          .pin = pin_file(user_pin_of(directory)).value(),
          .softhsm_directory = directory};
}

PinSource embedded_officer_pin(const fs::path& directory) {
  return pin_file(officer_pin_of(directory)).value();
}

Result<bool> create_embedded_token(const fs::path& directory, const fs::path& module_path) {
  // First what can be refused without leaving anything behind.
  BAUTA_TRY(const auto module,
            Module::load(module_path.empty() ? installed_module() : module_path));
  BAUTA_CHECK(create_directory(directory, 0700));
  BAUTA_CHECK(check_private(directory));
  BAUTA_TRY(const FileLock lock, lock_softhsm_directory(directory));

  std::error_code reason;
  if (fs::exists(tokens_of(directory), reason)) {
    if (fs::exists(user_pin_of(directory), reason)) return false;
    return make_error(ErrorCode::refused,
                      "{} holds tokens, but not the file user-pin that opens them; restore that "
                      "file or choose another directory",
                      directory.string());
  }
  // The token is made aside and takes its place by a rename: before that nobody can have put a key
  // into it, so whatever an interrupted creation left may go.
  const fs::path absolute = fs::absolute(directory, reason).lexically_normal();
  const fs::path unfinished = absolute / "tokens.unfinished";
  fs::remove_all(unfinished, reason);
  BAUTA_CHECK(create_directory(unfinished, 0700));
  BAUTA_CHECK(write_random_pin(officer_pin_of(directory)));
  BAUTA_CHECK(write_random_pin(user_pin_of(directory)));
  BAUTA_CHECK(write_configuration(absolute / "softhsm2.conf", unfinished));
  BAUTA_CHECK(initialise_token(directory, *module));
  BAUTA_CHECK(sync_softhsm_directory(unfinished));
  fs::rename(unfinished, tokens_of(absolute), reason);
  if (reason)
    return make_error(ErrorCode::unavailable, "cannot put the new token into {}: {}",
                      directory.string(), reason.message());
  BAUTA_CHECK(sync_softhsm_directory(directory));
  return true;
}

}  // namespace bauta::keys
