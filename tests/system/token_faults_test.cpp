// Faults of the token, seen through the services: clear errors, no decision by mistake, and the
// service goes on when the token is back.

#include <thread>

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <sys/wait.h>

#include "tests/system/parties.h"

namespace bauta {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

class TokenFaultsTest : public SystemTest {
 protected:
  void SetUp() override {
    SystemTest::SetUp();
    if (IsSkipped()) return;
    setenv("BAUTA_TEST_SOFTHSM", keys::embedded_token_config("/").module_path.c_str(), 1);
    library_ = dlopen(BAUTA_FAULTY_MODULE, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library_, nullptr) << dlerror();
    parties_.reset();
    parties_ = std::make_unique<Parties>(
        directory_, keys::embedded_token_config(directory_ / "token", BAUTA_FAULTY_MODULE));
    edge_ = parties_->make_edge();
    for (unsigned person = 0; person < 3; ++person)
      ASSERT_TRUE(enroll(*edge_, "gallery", person).ok());
    ASSERT_TRUE(identifies());
  }
  void TearDown() override {
    if (library_ != nullptr)
      for (const char* function : {"C_Login", "C_Sign", "C_SignInit", "C_GenerateKey"})
        fault(function, CKR_OK, 0);
    edge_.reset();
    SystemTest::TearDown();
  }

  void fault(const char* function, CK_RV result, int times) {
    reinterpret_cast<void (*)(const char*, CK_RV, int, int)>(dlsym(library_, "bauta_fault"))(
        function, result, times, 0);
  }
  Result<edge::Recognition> identify() { return edge_->identify("gallery", make_embedding(1, 1)); }
  bool identifies() {
    const auto reply = identify();
    return reply.ok() && reply->decision == v1::DECISION_ACCEPTED;
  }
  // Said within seconds, with the code and the words.
  void expect_said(ErrorCode code, const std::string& words) {
    const auto start = Clock::now();
    const auto reply = identify();
    EXPECT_LT(Clock::now() - start, std::chrono::seconds(15)) << "hangs";
    ASSERT_FALSE(reply.ok());
    EXPECT_EQ(reply.error().code, code) << reply.error().message;
    EXPECT_NE(reply.error().message.find(words), std::string::npos) << reply.error().message;
  }

  std::unique_ptr<edge::Edge> edge_;
  void* library_ = nullptr;
};

TEST_F(TokenFaultsTest, ATokenThatIsRemovedAndReturns) {
  for (const char* function : {"C_Sign", "C_SignInit"}) {
    fault(function, CKR_TOKEN_NOT_PRESENT, 1000);
    for (int i = 0; i < 3; ++i) expect_said(ErrorCode::unavailable, "does not answer");
    EXPECT_FALSE(enroll(*edge_, "gallery", 9).ok());
    fault(function, CKR_OK, 0);
    EXPECT_TRUE(identifies());
  }
  EXPECT_TRUE(enroll(*edge_, "gallery", 9).ok()) << "what failed has left nothing behind";
}

TEST_F(TokenFaultsTest, TheDirectoryOfTheTokenIsMovedAwayAndBack) {
  const fs::path token = directory_ / "token", away = directory_ / "away";
  fs::rename(token, away);
  const auto reply = identify();
  ASSERT_FALSE(reply.ok());
  EXPECT_NE(reply.error().message.find("token"), std::string::npos) << reply.error().message;
  fs::rename(away, token);
  const auto returned = identify();
  ASSERT_TRUE(returned.ok()) << returned.error().message;
  EXPECT_EQ(returned->decision, v1::DECISION_ACCEPTED);
}

TEST_F(TokenFaultsTest, APinThatIsWrongOrLocked) {
  for (const auto& [result, words] :
       {std::pair{CKR_PIN_LOCKED, "locked"}, std::pair{CKR_PIN_INCORRECT, "PIN"}}) {
    fault("C_Login", result, 1000);
    fault("C_Sign", CKR_DEVICE_REMOVED, 1);  // it has to log in again
    expect_said(ErrorCode::refused, words);
    const auto opened =
        keys::Token::open(keys::embedded_token_config(directory_ / "token", BAUTA_FAULTY_MODULE));
    EXPECT_FALSE(opened.ok());
    fault("C_Login", CKR_OK, 0);
    // A PIN that was refused is not tried again: the service is restarted once it is corrected.
    edge_.reset();
    parties_.reset();
    parties_ = std::make_unique<Parties>(
        directory_, keys::embedded_token_config(directory_ / "token", BAUTA_FAULTY_MODULE));
    edge_ = parties_->make_edge();
    EXPECT_TRUE(identifies());
  }
}

TEST_F(TokenFaultsTest, ATokenThatIsFull) {
  fault("C_GenerateKey", CKR_DEVICE_MEMORY, 1);
  const auto next = parties_->key->store().create("tenant");
  ASSERT_FALSE(next.ok());
  EXPECT_EQ(next.error().code, ErrorCode::no_space);
  EXPECT_NE(next.error().message.find("full"), std::string::npos) << next.error().message;
  EXPECT_TRUE(identifies()) << "what there is serves on";
  EXPECT_TRUE(parties_->key->store().create("tenant").ok());
}

TEST_F(TokenFaultsTest, AModuleThatIsMissing) {
  edge_.reset();
  parties_.reset();
  const auto token =
      keys::Token::open(keys::embedded_token_config(directory_ / "token", "/nowhere/libmodule.so"));
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::not_found);
  EXPECT_NE(token.error().message.find("/nowhere/libmodule.so"), std::string::npos);
}

// A module in a process of its own, killed again and again while requests are at work.
TEST_F(TokenFaultsTest, AModuleThatCrashesInTheMiddleOfRequests) {
  constexpr const char* kClient = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
  constexpr const char* kServer = "/usr/bin/p11-kit";
  if (!fs::exists(kClient) || !fs::exists(kServer))
    GTEST_SKIP() << "install the packages p11-kit and p11-kit-modules to run this test";
  edge_.reset();
  parties_.reset();
  const fs::path socket = directory_ / "socket";
  pid_t server = 0;
  const auto start = [&] {
    server = fork();
    if (server == 0) {
      setpgid(0, 0);
      setenv("SOFTHSM2_CONF", (directory_ / "token" / "softhsm2.conf").c_str(), 1);
      if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(8);
      const fs::path module = keys::embedded_token_config("/").module_path;
      execl(kServer, kServer, "server", "--foreground", "--provider", module.c_str(), "--name",
            socket.c_str(), "pkcs11:token=bauta", nullptr);
      _exit(9);
    }
    for (int i = 0; i < 500 && !fs::exists(socket); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  };
  const auto crash = [&] {
    kill(-server, SIGKILL);
    waitpid(server, nullptr, 0);
    fs::remove(socket);
  };
  start();
  setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket.string()).c_str(), 1);
  keys::TokenConfig config = keys::embedded_token_config(directory_ / "token", kClient);
  config.softhsm_directory.clear();
  parties_ = std::make_unique<Parties>(directory_, config);
  edge_ = parties_->make_edge();
  ASSERT_TRUE(identifies());

  std::atomic<bool> stop = false;
  std::atomic<int> decided = 0, failed = 0, odd = 0;
  std::thread requests([&] {
    while (!stop) {
      const auto reply = identify();
      if (reply.ok())
        ++(reply->decision == v1::DECISION_ACCEPTED ? decided : odd);
      else
        ++(reply.error().code == ErrorCode::unavailable ||
                   reply.error().code == ErrorCode::not_found
               ? failed
               : odd);
    }
  });
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    crash();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    start();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  stop = true;
  requests.join();
  EXPECT_GT(decided, 0);
  EXPECT_GT(failed, 0);
  EXPECT_EQ(odd, 0) << "a wrong decision, or an error that says something else";
  EXPECT_TRUE(identifies());
  edge_.reset();
  parties_.reset();
  crash();
}

}  // namespace
}  // namespace bauta
