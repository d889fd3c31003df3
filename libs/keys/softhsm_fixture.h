// For tests: a real SoftHSM2 token in a temporary directory, and a way into it behind our back.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "keys/embedded_token.h"
#include "keys/module.h"
#include "keys/softhsm.h"

namespace bauta::keys {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    // In memory where there is such a place: SoftHSM2's files are synced after every change.
    const std::filesystem::path in_memory = "/dev/shm";
    std::error_code reason;
    const std::filesystem::path parent = std::filesystem::is_directory(in_memory, reason)
                                             ? in_memory
                                             : std::filesystem::temp_directory_path();
    std::string name = (parent / "bauta-keys-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Skips every test where SoftHSM2 is not installed.
class SoftHsmTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(embedded_token_config("/").module_path))
      GTEST_SKIP() << "SoftHSM2 is not installed; install the package softhsm2 to run this test";
  }

  std::filesystem::path token_directory() const { return temporary_.path() / "token"; }
  std::filesystem::path store_directory() const { return temporary_.path() / "keys"; }

  // Makes the token if it is not there, and opens it.
  Result<std::unique_ptr<Token>> open_token() {
    BAUTA_TRY([[maybe_unused]] const bool made, create_embedded_token(token_directory()));
    return Token::open(embedded_token_config(token_directory()));
  }

 private:
  TemporaryDirectory temporary_;
};

// A session on the embedded token with the PKCS#11 functions in the open. Only while no Token is
// open in this process.
class RawSession {
 public:
  explicit RawSession(const std::filesystem::path& token_directory) {
    const TokenConfig config = embedded_token_config(token_directory);
    module_ = std::move(Module::load(config.module_path)).value();
    BAUTA_ASSERT(select_softhsm_directory(token_directory).ok());
    BAUTA_ASSERT(module_->initialise() == CKR_OK);
    const Slot slot = find_token(*module_, config.label).value();
    BAUTA_ASSERT(functions()->C_OpenSession(slot.id, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr,
                                            nullptr, &session_) == CKR_OK);
    SecretBytes pin = config.pin.read().value();
    BAUTA_ASSERT(functions()->C_Login(session_, CKU_USER, pin.data(), pin.size()) == CKR_OK);
  }

  const CK_FUNCTION_LIST* functions() const { return module_->operator->(); }
  CK_SESSION_HANDLE session() const { return session_; }

  CK_OBJECT_HANDLE find(const KeyId& id) const {
    CK_ATTRIBUTE pattern{CKA_ID, const_cast<uint8_t*>(id.data()), id.size()};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    BAUTA_ASSERT(functions()->C_FindObjectsInit(session_, &pattern, 1) == CKR_OK);
    BAUTA_ASSERT(functions()->C_FindObjects(session_, &object, 1, &count) == CKR_OK);
    BAUTA_ASSERT(functions()->C_FindObjectsFinal(session_) == CKR_OK);
    return count == 0 ? 0 : object;
  }

  // Puts a key with a known value into the token, which nothing but a test may do.
  void import_key(const KeyId& id, ByteView value) const {
    CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
    CK_KEY_TYPE generic = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE;
    char label[] = "bauta/imported/1";
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                             {CKA_KEY_TYPE, &generic, sizeof generic},
                             {CKA_TOKEN, &yes, sizeof yes},
                             {CKA_PRIVATE, &yes, sizeof yes},
                             {CKA_SENSITIVE, &yes, sizeof yes},
                             {CKA_SIGN, &yes, sizeof yes},
                             {CKA_LABEL, label, sizeof label - 1},
                             {CKA_ID, const_cast<uint8_t*>(id.data()), id.size()},
                             {CKA_VALUE, const_cast<uint8_t*>(value.data()), value.size()}};
    CK_OBJECT_HANDLE object = 0;
    BAUTA_ASSERT(functions()->C_CreateObject(session_, wanted, std::size(wanted), &object) ==
                 CKR_OK);
  }

 private:
  std::unique_ptr<Module> module_;
  CK_SESSION_HANDLE session_ = 0;
};

}  // namespace bauta::keys
