// Tokens that fail: what is said, and that the service goes on when they are back.

#include <fstream>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/key_store.h"
#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

class FaultTest : public SoftHsmTest {
 protected:
  void SetUp() override {
    SoftHsmTest::SetUp();
    if (IsSkipped()) return;
    setenv("BAUTA_TEST_SOFTHSM", embedded_token_config("/").module_path.c_str(), 1);
    library_ = dlopen(BAUTA_FAULTY_MODULE, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    ASSERT_TRUE(create_embedded_token(token_directory()).ok());
    token_ = Token::open(embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE)).value();
    id_ = token_->create_key("bauta/alpha/1").value();
  }
  void TearDown() override {
    token_.reset();
    if (library_ == nullptr) return;
    for (const char* function :
         {"C_Login", "C_Sign", "C_GenerateKey", "C_OpenSession", "C_DestroyObject"})
      fault(function, CKR_OK, 0);
    weaken(false);
  }

  void fault(const char* function, CK_RV result, int times = 1) {
    call<void(const char*, CK_RV, int, int)>("bauta_fault")(function, result, times, 0);
  }
  // The function does what it should, but its answer is lost.
  void lose_answer(const char* function, CK_RV result) {
    call<void(const char*, CK_RV, int, int)>("bauta_fault")(function, result, 1, 1);
  }
  int calls(const char* function) { return call<int(const char*)>("bauta_calls")(function); }
  void weaken(bool on) { call<void(bool)>("bauta_weaken")(on); }

  std::unique_ptr<Token> token_;
  KeyId id_{};

 private:
  template <typename Function>
  Function* call(const char* name) {
    return reinterpret_cast<Function*>(dlsym(library_, name));
  }
  void* library_ = nullptr;
};

TEST_F(FaultTest, LostConnectionIsMadeAgainWithinTheCall) {
  const std::string secret = to_hex(token_->derive(id_, "p")->span());
  for (const CK_RV result :
       {CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_FUNCTION_FAILED,
        CKR_GENERAL_ERROR, CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID, CKR_TOKEN_NOT_PRESENT,
        CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID}) {
    for (const char* function : {"C_SignInit", "C_Sign"}) {
      fault(function, result);
      auto derived = token_->derive(id_, "p");
      ASSERT_TRUE(derived.ok()) << function << " " << result << ": " << derived.error().message;
      EXPECT_EQ(to_hex(derived->span()), secret);
    }
  }
}

TEST_F(FaultTest, ConnectionThatStaysLostIsSaidAndTheNextCallTriesAgain) {
  fault("C_Sign", CKR_DEVICE_REMOVED, 2);
  auto lost = token_->derive(id_, "p");
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.error().code, ErrorCode::unavailable);
  EXPECT_NE(lost.error().message.find("does not answer"), std::string::npos);
  EXPECT_TRUE(token_->derive(id_, "p").ok());
}

TEST_F(FaultTest, OtherFailuresAreNotTakenForALostConnection) {
  fault("C_Login", CKR_OK, 0);
  fault("C_Sign", CKR_HOST_MEMORY);
  EXPECT_EQ(token_->derive(id_, "p").error().code, ErrorCode::unavailable);
  EXPECT_EQ(calls("C_Login"), 0) << "connected again for nothing";
  EXPECT_TRUE(token_->derive(id_, "p").ok()) << "the session is stuck in the failed operation";
}

TEST_F(FaultTest, FullTokenIsSaid) {
  fault("C_GenerateKey", CKR_DEVICE_MEMORY);
  auto key = token_->create_key("bauta/alpha/2");
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, ErrorCode::no_space);
  EXPECT_NE(key.error().message.find("full"), std::string::npos);
  EXPECT_TRUE(token_->create_key("bauta/alpha/2").ok());
}

TEST_F(FaultTest, TokenWithoutASessionLeftIsSaid) {
  token_.reset();
  fault("C_OpenSession", CKR_SESSION_COUNT, 100);
  auto token = Token::open(embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE));
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::no_space);
}

TEST_F(FaultTest, LockedPinIsSaid) {
  token_.reset();
  fault("C_Login", CKR_PIN_LOCKED, 100);
  auto token = Token::open(embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE));
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::refused);
  EXPECT_NE(token.error().message.find("locked"), std::string::npos);
}

// Another token than the embedded one counts wrong tries and locks itself.
TEST_F(FaultTest, RefusedPinIsNotTriedAgain) {
  token_.reset();
  TokenConfig config = embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE);
  config.softhsm_directory.clear();
  token_ = Token::open(config).value();
  fault("C_Login", CKR_PIN_INCORRECT, 100);
  fault("C_Sign", CKR_DEVICE_REMOVED);
  for (int i = 0; i < 5; ++i) {
    auto derived = token_->derive(id_, "p");
    ASSERT_FALSE(derived.ok());
    EXPECT_EQ(derived.error().code, ErrorCode::refused) << derived.error().message;
  }
  EXPECT_EQ(calls("C_Login"), 1);
}

TEST_F(FaultTest, KeyWhoseMakingWasNotAnsweredIsMadeOnce) {
  lose_answer("C_GenerateKey", CKR_DEVICE_ERROR);
  auto key = token_->create_key("bauta/alpha/2");
  ASSERT_TRUE(key.ok()) << key.error().message;
  EXPECT_EQ(token_->list_keys()->size(), 2u);
  EXPECT_TRUE(token_->derive(*key, "p").ok());
}

TEST_F(FaultTest, DestructionThatWasNotAnsweredIsRecorded) {
  auto store = KeyStore::open(std::move(token_), store_directory());
  ASSERT_TRUE(store.ok()) << store.error().message;
  lose_answer("C_DestroyObject", CKR_DEVICE_ERROR);
  const Status destroyed = (*store)->destroy(id_);
  EXPECT_TRUE(destroyed.ok()) << destroyed.error().message;
  EXPECT_EQ((*store)->find(id_)->state(), KeyState::destroyed);
}

TEST_F(FaultTest, TokenThatDoesNotGuardItsKeysIsRefused) {
  weaken(true);
  auto key = token_->create_key("bauta/alpha/2");
  ASSERT_FALSE(key.ok());
  EXPECT_EQ(key.error().code, ErrorCode::mismatch);
  weaken(false);
  EXPECT_EQ(token_->list_keys()->size(), 1u) << "the unguarded key stays";

  fault("C_GenerateKey", CKR_ATTRIBUTE_TYPE_INVALID);
  EXPECT_EQ(token_->create_key("bauta/alpha/2").error().code, ErrorCode::mismatch);
}

TEST_F(FaultTest, TokenWithoutTheMechanismIsRefused) {
  token_.reset();
  fault("C_GetMechanismInfo", CKR_MECHANISM_INVALID, 100);
  auto token = Token::open(embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE));
  fault("C_GetMechanismInfo", CKR_OK, 0);
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::mismatch);
}

TEST_F(FaultTest, ModuleThatDoesNotStartIsSaid) {
  token_.reset();
  fault("C_Initialize", CKR_GENERAL_ERROR, 100);
  auto token = Token::open(embedded_token_config(token_directory(), BAUTA_FAULTY_MODULE));
  fault("C_Initialize", CKR_OK, 0);
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::unavailable);
  EXPECT_NE(token.error().message.find("does not start"), std::string::npos);
}

// From here on, what this process mounts is its own. False where the system does not allow it.
bool own_mounts() {
  if (geteuid() == 0)
    return unshare(CLONE_NEWNS) == 0 &&
           mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  const uid_t user = geteuid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  std::ofstream("/proc/self/uid_map") << fmt::format("{} {} 1", user, user);
  return geteuid() == user;
}

// In a process with mounts of its own, because it needs a small disk.
TEST_F(FaultTest, FullDiskIsSaidAndHarmsNoKey) {
  token_.reset();
  const pid_t child = fork();
  if (child == 0) {
    const fs::path disk = token_directory().parent_path() / "disk";
    fs::create_directory(disk);
    if (!own_mounts() || mount("none", disk.c_str(), "tmpfs", 0, "size=256k,mode=0700") != 0)
      _exit(77);
    auto fail = [](const char* what) {
      fmt::print(stderr, "child process: {}\n", what);
      _exit(1);
    };
    std::ofstream(disk / "filler") << std::string(1 << 20, 'x');
    if (create_embedded_token(disk / "token").error().code != ErrorCode::no_space)
      fail("a token on a full disk");
    fs::remove(disk / "filler");
    auto made = create_embedded_token(disk / "token");
    if (!made.ok()) fail(made.error().message.c_str());
    auto token = Token::open(embedded_token_config(disk / "token"));
    if (!token.ok()) fail(token.error().message.c_str());
    const auto before = (*token)->create_key("bauta/alpha/1");
    std::ofstream(disk / "filler") << std::string(1 << 20, 'x');
    for (int i = 0; i < 3; ++i) {
      auto key = (*token)->create_key("bauta/alpha/2");
      if (key.ok()) fail("a key on a full disk");
      if (key.error().code != ErrorCode::no_space) fail(key.error().message.c_str());
    }
    if (!(*token)->derive(*before, "p").ok()) fail("the old key is gone");
    fs::remove(disk / "filler");
    auto key = (*token)->create_key("bauta/alpha/2");
    if (!key.ok()) fail(key.error().message.c_str());
    if ((*token)->list_keys()->size() != 2) fail("half-made keys are listed");
    token->reset();
    token = Token::open(embedded_token_config(disk / "token"));
    if (!token.ok() || !(*token)->derive(*before, "p").ok()) fail("the old key is gone");
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "this system does not let a test mount a disk";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace bauta::keys
