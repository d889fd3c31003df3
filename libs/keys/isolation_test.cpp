// A module in a process of its own, by p11-kit: when it crashes, the service does not.

#include <csignal>
#include <cstdio>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

constexpr const char* kClientModule = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
constexpr const char* kServer = "/usr/bin/p11-kit";

class IsolationTest : public SoftHsmTest {
 protected:
  void SetUp() override {
    SoftHsmTest::SetUp();
    if (IsSkipped()) return;
    if (!fs::exists(kClientModule) || !fs::exists(kServer))
      GTEST_SKIP() << "install the packages p11-kit and p11-kit-modules to run this test";
    ASSERT_TRUE(create_embedded_token(token_directory()).ok());
    ASSERT_TRUE(select_softhsm_directory(token_directory()).ok());
  }
  void TearDown() override {
    if (server_ > 0) crash_server();
  }

  fs::path socket() const { return token_directory().parent_path() / "socket"; }

  void start_server() {
    server_ = fork();
    if (server_ == 0) {
      setpgid(0, 0);
      if (std::freopen("/dev/null", "w", stdout) == nullptr) _exit(8);
      const fs::path module = embedded_token_config("/").module_path;
      execl(kServer, kServer, "server", "--foreground", "--provider", module.c_str(), "--name",
            socket().c_str(), "pkcs11:token=bauta", nullptr);
      _exit(9);
    }
    for (int i = 0; i < 500 && !fs::exists(socket()); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // With every process that it has started to serve a connection.
  void crash_server() {
    kill(-server_, SIGKILL);
    waitpid(server_, nullptr, 0);
    server_ = 0;
    fs::remove(socket());
  }

 private:
  pid_t server_ = 0;
};

TEST_F(IsolationTest, CrashOfTheModuleIsSaidAndItsReturnIsNoticed) {
  start_server();
  setenv("P11_KIT_SERVER_ADDRESS", ("unix:path=" + socket().string()).c_str(), 1);
  TokenConfig config = embedded_token_config(token_directory(), kClientModule);
  config.softhsm_directory.clear();
  auto token = Token::open(config);
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/alpha/1").value();
  const std::string secret = to_hex((*token)->derive(id, "p")->span());
  for (int i = 0; i < 3; ++i) {
    crash_server();
    for (int call = 0; call < 3; ++call) {
      auto derived = (*token)->derive(id, "p");
      ASSERT_FALSE(derived.ok());
      EXPECT_EQ(derived.error().code, ErrorCode::unavailable) << derived.error().message;
    }
    start_server();
    auto derived = (*token)->derive(id, "p");
    ASSERT_TRUE(derived.ok()) << derived.error().message;
    EXPECT_EQ(to_hex(derived->span()), secret);
  }
}

}  // namespace
}  // namespace bauta::keys
