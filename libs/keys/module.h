// A loaded PKCS#11 module (a shared library of the token's maker), and its return values in words.
// Internal to libs/keys: nothing outside sees a CK_ type.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <p11-kit/pkcs11.h>
#include <unistd.h>

#include "base/result.h"

namespace bauta::keys {

// PKCS#11 keeps its state per process and module, so a module is loaded once at a time. It stays
// mapped when it is released: unmapping one that left threads or exit handlers behind crashes.
class Module {
 public:
  // Errors: not_found when there is no file at the path or it is no PKCS#11 module; busy when this
  // process has it in use already.
  static Result<std::unique_ptr<Module>> load(const std::filesystem::path& path);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // C_Initialize and C_Finalize. The module reads its environment in the first.
  CK_RV initialise();
  void finalise();
  // In a child of the process that loaded it: its sessions are the parent's, and unusable here.
  bool forked() const { return getpid() != process_; }

  const CK_FUNCTION_LIST* operator->() const { return functions_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  Module(std::filesystem::path path, const CK_FUNCTION_LIST* functions)
      : path_(std::move(path)), functions_(functions) {}

  std::filesystem::path path_;
  const CK_FUNCTION_LIST* functions_;
  bool initialised_ = false;
  const pid_t process_ = getpid();
};

struct Slot {
  CK_SLOT_ID id = 0;
  CK_FLAGS flags = 0;  // of the token in it
};
// The token with this label. Errors: not_found when there is none, mismatch when several carry it.
Result<Slot> find_token(const Module& module, std::string_view label);
// A slot that is free to be made into a token.
Result<Slot> find_free_slot(const Module& module);

// The token or its module went away or lost our sessions: worth one new start.
bool is_connection_lost(CK_RV result);
bool is_stale_handle(CK_RV result);

// What a return value means for the token with this label; `action` completes "cannot ...".
Error token_error(CK_RV result, std::string_view action, std::string_view label);

}  // namespace bauta::keys
