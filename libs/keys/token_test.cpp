#include "keys/token.h"

#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

std::string hex(const Result<SecretBytes>& secret) {
  return secret.ok() ? to_hex(secret->span()) : "error: " + secret.error().message;
}

[[noreturn]] void fail_child(const Error& error) {
  fmt::print(stderr, "child process: {}\n", error.message);
  _exit(1);
}

class TokenTest : public SoftHsmTest {};

TEST_F(TokenTest, KeyOutlivesTheProcessThatMadeIt) {
  KeyId id;
  std::string secret;
  {
    auto token = open_token();
    ASSERT_TRUE(token.ok()) << token.error().message;
    auto created = (*token)->create_key("bauta/default/1");
    ASSERT_TRUE(created.ok()) << created.error().message;
    id = *created;
    secret = hex((*token)->derive(id, "a purpose"));
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  auto keys = (*token)->list_keys();
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().id, id);
  EXPECT_EQ(keys->front().label, "bauta/default/1");
  EXPECT_EQ(hex((*token)->derive(id, "a purpose")), secret);
  EXPECT_EQ(secret.size(), 2 * kDerivedSize_bytes);
}

TEST_F(TokenTest, SecretsDifferPerKeyPurposeAndEdge) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  std::set<std::string> secrets;
  for (const char* label : {"bauta/a/1", "bauta/b/1"}) {
    auto id = (*token)->create_key(label);
    ASSERT_TRUE(id.ok());
    // The last two would be one and the same without the lengths.
    for (const auto& [purpose, edge] :
         std::initializer_list<std::pair<const char*, const char*>>{{"p", ""},
                                                                    {"q", ""},
                                                                    {"p", "edge 1"},
                                                                    {"p", "edge 2"},
                                                                    {"pe", "dge 1"},
                                                                    {"pedge", " 1"}})
      secrets.insert(hex((*token)->derive(*id, purpose, edge)));
  }
  EXPECT_EQ(secrets.size(), 12u);
}

// The vector of docs/formats/key-derivation.md, and HMAC computed outside the token.
TEST_F(TokenTest, SecretIsTheDocumentedHmac) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  KeyId id{};
  Bytes key(32);
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  RawSession(token_directory()).import_key(id, key);
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;

  const std::string purpose = "bauta ring secret v1", edge = "door-7";
  const std::string input =
      std::string("\x14\0\0\0", 4) + purpose + std::string("\x06\0\0\0", 4) + edge;
  uint8_t expected[32];
  unsigned size_bytes = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), as_bytes(input).data(), input.size(),
       expected, &size_bytes);
  ASSERT_EQ(size_bytes, sizeof expected);
  EXPECT_EQ(hex((*token)->derive(id, purpose, edge)), to_hex(expected));
  EXPECT_EQ(hex((*token)->derive(id, purpose, edge)),
            "797585c0d4ebadacde417325fa774010ba4bbfbc08a956d98c44f7a40d55eea9");
  EXPECT_EQ(hex((*token)->derive(id, purpose)),
            "f0e70c0543dd55bc9c67819e4068a0b0745f1be683db486ee9fa551242808b32");
}

TEST_F(TokenTest, KeyCannotBeReadChangedCopiedOrWrapped) {
  KeyId id;
  {
    auto token = open_token();
    ASSERT_TRUE(token.ok()) << token.error().message;
    id = (*token)->create_key("bauta/default/1").value();
  }
  const RawSession raw(token_directory());
  const CK_FUNCTION_LIST* functions = raw.functions();
  const CK_OBJECT_HANDLE key = raw.find(id);
  ASSERT_NE(key, 0u);

  uint8_t buffer[512];
  CK_ATTRIBUTE value{CKA_VALUE, buffer, sizeof buffer};
  EXPECT_EQ(functions->C_GetAttributeValue(raw.session(), key, &value, 1), CKR_ATTRIBUTE_SENSITIVE);

  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  for (CK_ATTRIBUTE change : {CK_ATTRIBUTE{CKA_SENSITIVE, &no, sizeof no},
                              CK_ATTRIBUTE{CKA_WRAP_WITH_TRUSTED, &no, sizeof no},
                              CK_ATTRIBUTE{CKA_ENCRYPT, &yes, sizeof yes}}) {
    CK_OBJECT_HANDLE copy = 0;
    EXPECT_NE(functions->C_SetAttributeValue(raw.session(), key, &change, 1), CKR_OK);
    EXPECT_NE(functions->C_CopyObject(raw.session(), key, &change, 1, &copy), CKR_OK);
  }

  CK_OBJECT_CLASS secret_key = CKO_SECRET_KEY;
  CK_KEY_TYPE aes = CKK_AES;
  CK_ULONG size_bytes = 32;
  CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &secret_key, sizeof secret_key},
                           {CKA_KEY_TYPE, &aes, sizeof aes},
                           {CKA_VALUE_LEN, &size_bytes, sizeof size_bytes},
                           {CKA_WRAP, &yes, sizeof yes}};
  CK_MECHANISM generate{CKM_AES_KEY_GEN, nullptr, 0}, wrap{CKM_AES_KEY_WRAP, nullptr, 0};
  CK_OBJECT_HANDLE wrapping = 0;
  ASSERT_EQ(
      functions->C_GenerateKey(raw.session(), &generate, wanted, std::size(wanted), &wrapping),
      CKR_OK);
  size_bytes = sizeof buffer;
  EXPECT_EQ(functions->C_WrapKey(raw.session(), &wrap, wrapping, key, buffer, &size_bytes),
            CKR_KEY_NOT_WRAPPABLE);
  // Only the security officer may declare a wrapping key as trusted.
  CK_ATTRIBUTE trusted{CKA_TRUSTED, &yes, sizeof yes};
  EXPECT_NE(functions->C_SetAttributeValue(raw.session(), wrapping, &trusted, 1), CKR_OK);
}

TEST_F(TokenTest, DestroyedKeyDerivesNothingEvenWhereItWasInUse) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/default/1").value();
  const KeyId other = (*token)->create_key("bauta/default/2").value();
  ASSERT_TRUE((*token)->derive(id, "p").ok());
  ASSERT_TRUE((*token)->destroy_key(id).ok());
  for (const ErrorCode code :
       {(*token)->derive(id, "p").error().code, (*token)->destroy_key(id).error().code})
    EXPECT_EQ(code, ErrorCode::not_found);
  EXPECT_TRUE((*token)->derive(other, "p").ok());
  EXPECT_EQ((*token)->list_keys()->size(), 1u);
}

TEST_F(TokenTest, WrongArgumentsAreRefused) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/default/1").value();
  EXPECT_EQ((*token)->derive(id, "").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ((*token)->derive(id, std::string(65, 'p')).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ((*token)->derive(id, "p", std::string(256, 'e')).error().code,
            ErrorCode::invalid_argument);
  EXPECT_TRUE((*token)->derive(id, std::string(64, 'p'), std::string(255, 'e')).ok());
  EXPECT_EQ((*token)->create_key("").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ((*token)->create_key(std::string(129, 'l')).error().code, ErrorCode::invalid_argument);
}

TEST_F(TokenTest, MissingModuleNamesThePathAndThePackage) {
  TokenConfig config = embedded_token_config(token_directory(), "/nonexistent/module.so");
  auto token = Token::open(config);
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::not_found);
  EXPECT_NE(token.error().message.find("/nonexistent/module.so"), std::string::npos);
  EXPECT_NE(token.error().message.find("softhsm2"), std::string::npos);

  auto created = create_embedded_token(token_directory(), "/nonexistent/module.so");
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.error().code, ErrorCode::not_found);
  EXPECT_FALSE(fs::exists(token_directory())) << "a refusal leaves nothing behind";
}

TEST_F(TokenTest, LibraryThatIsNoModuleIsRefused) {
  const fs::path not_a_module = token_directory().parent_path() / "module.so";
  std::ofstream(not_a_module) << "not a shared library";
  for (const fs::path& path : {not_a_module, fs::path("/lib/x86_64-linux-gnu/libc.so.6")}) {
    if (!fs::exists(path)) continue;
    auto token = Token::open(embedded_token_config(token_directory(), path));
    ASSERT_FALSE(token.ok());
    EXPECT_NE(token.error().message.find("not a PKCS#11 module"), std::string::npos);
  }
}

TEST_F(TokenTest, MissingTokenDirectoryIsNamedAndNotMade) {
  auto token = Token::open(embedded_token_config(token_directory()));
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::not_found);
  EXPECT_NE(token.error().message.find(token_directory().string()), std::string::npos);
  EXPECT_FALSE(fs::exists(token_directory()));
}

TEST_F(TokenTest, UnknownLabelIsNotFound) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  TokenConfig config = embedded_token_config(token_directory());
  config.label = "another";
  auto token = Token::open(config);
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::not_found);
  EXPECT_NE(token.error().message.find("'another'"), std::string::npos);
}

TEST_F(TokenTest, WrongPinIsRefusedAndNotShown) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  TokenConfig config = embedded_token_config(token_directory());
  setenv("BAUTA_TEST_PIN", "wrong-pin", 1);
  config.pin = PinSource::parse("env:BAUTA_TEST_PIN").value();
  auto token = Token::open(config);
  ASSERT_FALSE(token.ok());
  EXPECT_EQ(token.error().code, ErrorCode::refused);
  EXPECT_NE(token.error().message.find("PIN"), std::string::npos);
  EXPECT_EQ(token.error().message.find("wrong-pin"), std::string::npos);
}

TEST_F(TokenTest, SecondTokenInOneProcessIsRefused) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  auto second = Token::open(embedded_token_config(token_directory()));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::busy);
}

TEST_F(TokenTest, RecoversWhenTheTokenDirectoryReturns) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/default/1").value();
  const std::string secret = hex((*token)->derive(id, "p"));
  const fs::path away = token_directory().parent_path() / "away";
  fs::rename(token_directory(), away);
  for (int i = 0; i < 3; ++i) {
    auto lost = (*token)->derive(id, "p");
    ASSERT_FALSE(lost.ok());
    EXPECT_EQ(lost.error().code, ErrorCode::unavailable) << lost.error().message;
    EXPECT_NE(lost.error().message.find("missing"), std::string::npos) << lost.error().message;
    EXPECT_EQ((*token)->list_keys().error().code, ErrorCode::unavailable);
    EXPECT_EQ((*token)->create_key("bauta/default/2").error().code, ErrorCode::unavailable);
    EXPECT_EQ((*token)->destroy_key(id).error().code, ErrorCode::unavailable);
  }
  EXPECT_FALSE(fs::exists(token_directory()));
  fs::rename(away, token_directory());
  EXPECT_EQ(hex((*token)->derive(id, "p")), secret);
  EXPECT_EQ((*token)->list_keys()->size(), 1u);
}

TEST_F(TokenTest, RecoversWhileManyThreadsUseIt) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/default/1").value();
  const std::string secret = hex((*token)->derive(id, "p"));
  const fs::path away = token_directory().parent_path() / "away";
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0, served = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 12; ++t)  // more than there are sessions
    threads.emplace_back([&] {
      while (!stop) {
        auto derived = (*token)->derive(id, "p");
        if (derived.ok()) ++served;
        if (derived.ok() && hex(derived) != secret) ++wrong;
        if (!derived.ok() && derived.error().code != ErrorCode::unavailable) ++wrong;
      }
    });
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    fs::rename(token_directory(), away);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    fs::rename(away, token_directory());
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(served, 0);
  EXPECT_EQ(hex((*token)->derive(id, "p")), secret);
}

TEST_F(TokenTest, ForkedChildIsToldToOpenItsOwn) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId id = (*token)->create_key("bauta/default/1").value();
  const pid_t child = fork();
  if (child == 0) {
    auto derived = (*token)->derive(id, "p");
    _exit(!derived.ok() && derived.error().message.find("fork") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE((*token)->derive(id, "p").ok());
}

TEST_F(TokenTest, ProcessesShareOneToken) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  std::vector<pid_t> children;
  for (int c = 0; c < 2; ++c) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    auto token = Token::open(embedded_token_config(token_directory()));
    if (!token.ok()) fail_child(token.error());
    for (int i = 0; i < 10; ++i) {
      auto id = (*token)->create_key("bauta/default/1");
      if (!id.ok()) fail_child(id.error());
      if (auto secret = (*token)->derive(*id, "p"); !secret.ok()) fail_child(secret.error());
    }
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_EQ((*token)->list_keys()->size(), 20u);
}

// The other process is started before this one opens the token, and waits for its turn.
TEST_F(TokenTest, SeesWhatAnotherProcessMakesAndDestroys) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  int to_child[2], from_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(from_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    KeyId id;
    auto read_all = [](int fd, KeyId& value) { return read(fd, value.data(), 16) == 16; };
    if (!read_all(to_child[0], id)) _exit(1);
    auto token = Token::open(embedded_token_config(token_directory()));
    if (!token.ok() || !(*token)->destroy_key(id).ok()) _exit(2);
    auto made = (*token)->create_key("bauta/default/2");
    if (!made.ok() || write(from_child[1], made->data(), 16) != 16) _exit(3);
    _exit(0);
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  const KeyId doomed = (*token)->create_key("bauta/default/1").value();
  ASSERT_TRUE((*token)->derive(doomed, "p").ok());
  ASSERT_EQ(write(to_child[1], doomed.data(), 16), 16);
  KeyId made;
  ASSERT_EQ(read(from_child[0], made.data(), 16), 16);
  EXPECT_EQ((*token)->derive(doomed, "p").error().code, ErrorCode::not_found);
  EXPECT_TRUE((*token)->derive(made, "p").ok());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

class EmbeddedTokenTest : public SoftHsmTest {};

TEST_F(EmbeddedTokenTest, IsMadeOnceForItsOwnerAlone) {
  auto first = create_embedded_token(token_directory());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_TRUE(*first);
  auto second = create_embedded_token(token_directory());
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_FALSE(*second);
  struct stat status {};
  for (const char* name : {".", "tokens", "user-pin", "so-pin", "softhsm2.conf"}) {
    ASSERT_EQ(stat((token_directory() / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 077, 0u) << name;
  }
}

TEST_F(EmbeddedTokenTest, PinsDifferPerTokenAndRole) {
  std::set<std::string> pins;
  for (const char* name : {"a", "b"}) {
    const fs::path directory = token_directory().parent_path() / name;
    ASSERT_TRUE(create_embedded_token(directory).ok());
    for (const char* file : {"user-pin", "so-pin"}) {
      std::string pin;
      std::ifstream(directory / file) >> pin;
      EXPECT_EQ(pin.size(), 32u);
      pins.insert(pin);
    }
  }
  EXPECT_EQ(pins.size(), 4u);
}

TEST_F(EmbeddedTokenTest, DirectoryThatOthersMayEnterIsRefused) {
  fs::create_directory(token_directory());
  chmod(token_directory().c_str(), 0755);
  auto made = create_embedded_token(token_directory());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::refused);
  EXPECT_TRUE(fs::is_empty(token_directory()));
}

TEST_F(EmbeddedTokenTest, LostPinFileIsSaidAndNothingIsMadeAnew) {
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  fs::remove(token_directory() / "user-pin");
  auto made = create_embedded_token(token_directory());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::refused);
  EXPECT_NE(made.error().message.find("user-pin"), std::string::npos);
  EXPECT_EQ(Token::open(embedded_token_config(token_directory())).error().code,
            ErrorCode::not_found);
}

TEST_F(EmbeddedTokenTest, WorksAfterItsDirectoryHasMoved) {
  const fs::path moved = token_directory().parent_path() / "with a space";
  KeyId id;
  {
    auto token = open_token();
    ASSERT_TRUE(token.ok()) << token.error().message;
    id = (*token)->create_key("bauta/default/1").value();
  }
  fs::rename(token_directory(), moved);
  auto token = Token::open(embedded_token_config(moved));
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_TRUE((*token)->derive(id, "p").ok());
}

TEST_F(EmbeddedTokenTest, FirstStartsAtOnceMakeOneToken) {
  std::vector<pid_t> children;
  for (int c = 0; c < 4; ++c) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    auto token = open_token();
    if (!token.ok()) fail_child(token.error());
    auto id = (*token)->create_key("bauta/default/1");
    if (!id.ok()) fail_child(id.error());
    _exit(0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_EQ((*token)->list_keys()->size(), 4u);
}

TEST_F(EmbeddedTokenTest, OutlivesAKillThatCutsItsFileDuringALogin) {
  const KeyId id = open_token().value()->create_key("bauta/default/1").value();
  fs::path file;
  for (const auto& entry : fs::recursive_directory_iterator(token_directory() / "tokens"))
    if (entry.path().filename() == "token.object") file = entry.path();
  const uintmax_t whole = fs::file_size(file);
  for (const uintmax_t left : {uintmax_t{0}, whole / 2, whole - 1}) {
    fs::resize_file(file, left);
    const auto token = open_token();
    ASSERT_TRUE(token.ok()) << left << ": " << token.error().message;
    EXPECT_TRUE((*token)->derive(id, "p").ok()) << left;
    EXPECT_EQ(fs::file_size(file), whole);
  }
  fs::remove(file);
  EXPECT_TRUE(open_token().ok());
}

TEST_F(EmbeddedTokenTest, CreationKilledAnywhereIsCompletedByTheNext) {
  for (int round = 0; round < 20; ++round) {
    const fs::path directory = token_directory().parent_path() / std::to_string(round);
    const pid_t child = fork();
    if (child == 0) {
      (void)create_embedded_token(directory);
      _exit(0);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(10'000 * round));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    auto made = create_embedded_token(directory);
    ASSERT_TRUE(made.ok()) << "round " << round << ": " << made.error().message;
    auto token = Token::open(embedded_token_config(directory));
    ASSERT_TRUE(token.ok()) << "round " << round << ": " << token.error().message;
    EXPECT_TRUE((*token)->create_key("bauta/default/1").ok());
  }
}

}  // namespace
}  // namespace bauta::keys
