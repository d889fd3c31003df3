#include "keys/module.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include <dlfcn.h>

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

std::mutex modules_in_use_mutex;
std::set<fs::path> modules_in_use;

std::string label_of(const CK_TOKEN_INFO& info) {
  std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
  label.erase(label.find_last_not_of(' ') + 1);
  return label;
}

// The slots that hold a token, with what each says of itself; a slot that fails is left out.
Result<std::vector<std::pair<CK_SLOT_ID, CK_TOKEN_INFO>>> tokens_present(const Module& module) {
  CK_ULONG count = 0;
  std::vector<CK_SLOT_ID> slots;
  CK_RV result = CKR_BUFFER_TOO_SMALL;
  while (result == CKR_BUFFER_TOO_SMALL) {  // a token may be plugged in between the two calls
    result = module->C_GetSlotList(CK_TRUE, nullptr, &count);
    slots.resize(count);
    if (result == CKR_OK) result = module->C_GetSlotList(CK_TRUE, slots.data(), &count);
  }
  if (result != CKR_OK)
    return make_error(ErrorCode::unavailable, "the PKCS#11 module {} lists no slots (error {:#x})",
                      module.path().string(), result);
  slots.resize(count);
  std::vector<std::pair<CK_SLOT_ID, CK_TOKEN_INFO>> tokens;
  for (const CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (module->C_GetTokenInfo(slot, &info) == CKR_OK) tokens.emplace_back(slot, info);
  }
  return tokens;
}

}  // namespace

Result<std::unique_ptr<Module>> Module::load(const fs::path& path) {
  std::error_code reason;
  const fs::path canonical = fs::canonical(path, reason);
  if (reason)
    return make_error(ErrorCode::not_found,
                      "there is no PKCS#11 module at {}; install the package softhsm2, or "
                      "configure the path of your token's module",
                      path.string());
  std::lock_guard lock(modules_in_use_mutex);
  if (modules_in_use.contains(canonical))
    return make_error(ErrorCode::busy,
                      "the PKCS#11 module {} is in use in this process already; close the token "
                      "that was opened first",
                      canonical.string());
  void* library = dlopen(canonical.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  const auto get_function_list = reinterpret_cast<CK_C_GetFunctionList>(
      library == nullptr ? nullptr : dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (get_function_list == nullptr || get_function_list(&functions) != CKR_OK ||
      functions == nullptr) {
    if (library != nullptr) dlclose(library);
    return make_error(ErrorCode::not_found,
                      "{} is not a PKCS#11 module that can be loaded here; configure the path of "
                      "your token's module",
                      canonical.string());
  }
  // A module that talks over a socket would end the process when the other side goes away.
  struct sigaction pipe_action {};
  if (sigaction(SIGPIPE, nullptr, &pipe_action) == 0 && pipe_action.sa_handler == SIG_DFL)
    (void)std::signal(SIGPIPE, SIG_IGN);
  modules_in_use.insert(canonical);
  return std::unique_ptr<Module>(new Module(canonical, functions));
}

Module::~Module() {
  finalise();
  std::lock_guard lock(modules_in_use_mutex);
  modules_in_use.erase(path_);
}

CK_RV Module::initialise() {
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const CK_RV result = functions_->C_Initialize(&arguments);
  initialised_ = result == CKR_OK;
  return result;
}

void Module::finalise() {
  if (initialised_ && !forked()) (void)functions_->C_Finalize(nullptr);
  initialised_ = false;
}

Result<Slot> find_token(const Module& module, std::string_view label) {
  BAUTA_TRY(const auto tokens, tokens_present(module));
  std::optional<Slot> found;
  for (const auto& [slot, info] : tokens) {
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0 || label_of(info) != label) continue;
    if (found)
      return make_error(ErrorCode::mismatch,
                        "several tokens carry the label '{}'; give them different labels", label);
    found = Slot{slot, info.flags};
  }
  if (!found)
    return make_error(ErrorCode::not_found,
                      "no token with the label '{}' is present; insert or restore it, or make one "
                      "with 'bauta keys init'",
                      label);
  return *found;
}

Result<Slot> find_free_slot(const Module& module) {
  BAUTA_TRY(const auto tokens, tokens_present(module));
  for (const auto& [slot, info] : tokens)
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) return Slot{slot, info.flags};
  return make_error(ErrorCode::no_space, "the PKCS#11 module {} has no slot free for a new token",
                    module.path().string());
}

bool is_connection_lost(CK_RV result) {
  switch (result) {
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_FUNCTION_FAILED:
    case CKR_GENERAL_ERROR:
    case CKR_SESSION_CLOSED:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SLOT_ID_INVALID:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_USER_NOT_LOGGED_IN:
      return true;
    default:
      return false;
  }
}

bool is_stale_handle(CK_RV result) {
  return result == CKR_OBJECT_HANDLE_INVALID || result == CKR_KEY_HANDLE_INVALID;
}

Error token_error(CK_RV result, std::string_view action, std::string_view label) {
  switch (result) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
      return make_error(ErrorCode::refused,
                        "the PIN is not the one of the token '{}'; correct its source before the "
                        "token locks itself",
                        label);
    case CKR_PIN_LOCKED:
      return make_error(ErrorCode::refused,
                        "the PIN of the token '{}' is locked after too many wrong tries; its "
                        "security officer must set a new one",
                        label);
    case CKR_USER_PIN_NOT_INITIALIZED:
      return make_error(ErrorCode::refused,
                        "the token '{}' has no user PIN yet; its security officer must set one",
                        label);
    case CKR_PIN_EXPIRED:
      return make_error(ErrorCode::refused, "the PIN of the token '{}' has expired; set a new one",
                        label);
    case CKR_DEVICE_MEMORY:
      return make_error(ErrorCode::no_space,
                        "the token '{}' is full: cannot {}; destroy keys that are no longer "
                        "needed, or use a larger token",
                        label, action);
    case CKR_SESSION_COUNT:
      return make_error(ErrorCode::no_space,
                        "the token '{}' has no session free: cannot {}; close other programs that "
                        "use it",
                        label, action);
    case CKR_ATTRIBUTE_TYPE_INVALID:
    case CKR_ATTRIBUTE_VALUE_INVALID:
    case CKR_TEMPLATE_INCONSISTENT:
      return make_error(ErrorCode::mismatch,
                        "the token '{}' does not offer the protection that is asked for: cannot "
                        "{} (PKCS#11 error {:#x}); use another token",
                        label, action, result);
    case CKR_UNWRAPPING_KEY_HANDLE_INVALID:
      return make_error(ErrorCode::not_found,
                        "the token '{}' does not hold the backup key that this copy of a key was "
                        "made for",
                        label);
    case CKR_ENCRYPTED_DATA_INVALID:
    case CKR_ENCRYPTED_DATA_LEN_RANGE:
    case CKR_WRAPPED_KEY_INVALID:
    case CKR_WRAPPED_KEY_LEN_RANGE:
      return make_error(ErrorCode::corrupt,
                        "the token '{}' cannot open this copy of a key: it was changed, or is not "
                        "whole",
                        label);
    case CKR_KEY_SIZE_RANGE:
    case CKR_KEY_TYPE_INCONSISTENT:
      return make_error(ErrorCode::corrupt,
                        "the token '{}' holds the key only in part: cannot {} (PKCS#11 error "
                        "{:#x}); restore the token",
                        label, action, result);
    case CKR_TOKEN_WRITE_PROTECTED:
      return make_error(ErrorCode::refused, "the token '{}' is write-protected: cannot {}", label,
                        action);
    default:
      break;
  }
  if (is_connection_lost(result) || is_stale_handle(result))
    return make_error(ErrorCode::unavailable,
                      "the token '{}' does not answer (PKCS#11 error {:#x}): cannot {}; it is used "
                      "again once it is back",
                      label, result, action);
  return make_error(ErrorCode::unavailable, "the token '{}' cannot {} (PKCS#11 error {:#x})", label,
                    action, result);
}

}  // namespace bauta::keys
