#include "keys/key_store.h"

#include <csignal>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "keys/softhsm_fixture.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

class KeyStoreTest : public SoftHsmTest {
 protected:
  Result<std::unique_ptr<KeyStore>> open_store() {
    BAUTA_TRY(auto token, open_token());
    return KeyStore::open(std::move(token), store_directory());
  }
  fs::path file() const { return store_directory() / "keys.json"; }
  std::string file_text() const { return std::string(as_text(read_file(file(), 1 << 20).value())); }
};

std::string hex(const Result<SecretBytes>& secret) {
  return secret.ok() ? to_hex(secret->span()) : "error: " + secret.error().message;
}

TEST_F(KeyStoreTest, GenerationsCountPerTenant) {
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_EQ((*store)->create("alpha")->generation, 1u);
  EXPECT_EQ((*store)->create("alpha")->generation, 2u);
  EXPECT_EQ((*store)->create("beta")->generation, 1u);
  const KeyRecord last = (*store)->create("alpha").value();
  ASSERT_TRUE((*store)->destroy(last.id).ok());
  EXPECT_EQ((*store)->create("alpha")->generation, 4u) << "a destroyed generation comes back";
  auto records = (*store)->list();
  ASSERT_TRUE(records.ok());
  ASSERT_EQ(records->size(), 5u);
  EXPECT_EQ(records->back().tenant, "beta");
  EXPECT_EQ((*records)[2].id, last.id);
}

TEST_F(KeyStoreTest, LifeOfAKeyFromCreationToDestruction) {
  KeyId first, second;
  std::string secret;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ((*store)->active("alpha").error().code, ErrorCode::not_found);
    first = (*store)->create("alpha")->id;
    EXPECT_EQ((*store)->find(first)->state(), KeyState::created);
    EXPECT_EQ((*store)->active("alpha").error().code, ErrorCode::not_found);
    ASSERT_TRUE((*store)->activate(first).ok());
    EXPECT_EQ((*store)->active("alpha")->id, first);
    EXPECT_EQ((*store)->active("alph").error().code, ErrorCode::not_found);
    secret = hex((*store)->derive(first, "p"));
    EXPECT_EQ(secret.size(), 64u) << secret;
  }
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_EQ((*store)->active("alpha")->id, first);
  second = (*store)->create("alpha")->id;
  EXPECT_EQ((*store)->active("alpha")->id, first) << "active before it is activated";
  EXPECT_TRUE((*store)->derive(second, "p").ok()) << "renewal needs both keys";
  ASSERT_TRUE((*store)->activate(second).ok());
  EXPECT_EQ((*store)->active("alpha")->id, second);
  EXPECT_EQ((*store)->find(first)->state(), KeyState::deactivated);
  EXPECT_EQ(hex((*store)->derive(first, "p")), secret) << "renewal needs both keys";
  EXPECT_EQ((*store)->activate(first).error().code, ErrorCode::refused);

  ASSERT_TRUE((*store)->destroy(first).ok());
  const KeyRecord destroyed = (*store)->find(first).value();
  EXPECT_EQ(destroyed.state(), KeyState::destroyed);
  EXPECT_GT(destroyed.destroyed_at_s, 1'500'000'000);
  for (const Error& error :
       {(*store)->derive(first, "p").error(), (*store)->activate(first).error(),
        (*store)->suspend(first).error(), (*store)->resume(first).error()}) {
    EXPECT_EQ(error.code, ErrorCode::refused);
    EXPECT_NE(error.message.find("was destroyed on"), std::string::npos) << error.message;
  }
  EXPECT_TRUE((*store)->destroy(first).ok()) << "destroying twice changes nothing";
  EXPECT_EQ((*store)->find(first)->destroyed_at_s, destroyed.destroyed_at_s);
  EXPECT_TRUE((*store)->derive(second, "p").ok());
}

TEST_F(KeyStoreTest, EvaluationIsDecidedAtCreationAndKept) {
  KeyId people, measuring;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    people = (*store)->create("alpha")->id;
    measuring = (*store)->create("beta", true)->id;
  }
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_FALSE((*store)->find(people)->evaluation);
  EXPECT_TRUE((*store)->find(measuring)->evaluation);
}

TEST_F(KeyStoreTest, ActiveSaysThatTheKeyIsDestroyed) {
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  const KeyId id = (*store)->create("alpha")->id;
  ASSERT_TRUE((*store)->activate(id).ok());
  ASSERT_TRUE((*store)->destroy(id).ok());
  auto active = (*store)->active("alpha");
  ASSERT_FALSE(active.ok());
  EXPECT_EQ(active.error().code, ErrorCode::refused);
  EXPECT_NE(active.error().message.find("destroyed"), std::string::npos);
  const KeyId next = (*store)->create("alpha")->id;
  ASSERT_TRUE((*store)->activate(next).ok());
  EXPECT_EQ((*store)->active("alpha")->id, next);
}

TEST_F(KeyStoreTest, SuspendedKeyIsRefusedUntilItIsResumed) {
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  const KeyId id = (*store)->create("alpha")->id;
  ASSERT_TRUE((*store)->activate(id).ok());
  const std::string secret = hex((*store)->derive(id, "p"));
  ASSERT_TRUE((*store)->suspend(id).ok());
  ASSERT_TRUE((*store)->suspend(id).ok());
  EXPECT_EQ((*store)->find(id)->state(), KeyState::suspended);
  for (const Error& error : {(*store)->derive(id, "p").error(), (*store)->active("alpha").error(),
                             (*store)->activate(id).error()}) {
    EXPECT_EQ(error.code, ErrorCode::refused);
    EXPECT_NE(error.message.find("suspended since"), std::string::npos) << error.message;
  }
  ASSERT_TRUE((*store)->resume(id).ok());
  EXPECT_EQ((*store)->active("alpha")->id, id);
  EXPECT_EQ(hex((*store)->derive(id, "p")), secret);
}

TEST_F(KeyStoreTest, UnknownKeysAndBadTenantsAreRefused) {
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  const KeyId unknown{1, 2, 3};
  for (const ErrorCode code :
       {(*store)->find(unknown).error().code, (*store)->activate(unknown).error().code,
        (*store)->suspend(unknown).error().code, (*store)->resume(unknown).error().code,
        (*store)->destroy(unknown).error().code, (*store)->derive(unknown, "p").error().code})
    EXPECT_EQ(code, ErrorCode::not_found);
  for (const std::string& tenant : {std::string(), std::string("a/b"), std::string("a b"),
                                    std::string("\xc3\xa4"), std::string(65, 'a')})
    EXPECT_EQ((*store)->create(tenant).error().code, ErrorCode::invalid_argument) << tenant;
  EXPECT_TRUE((*store)->create(std::string(64, 'a')).ok());
  EXPECT_EQ((*store)->list()->size(), 1u);
}

TEST_F(KeyStoreTest, KeysOfTheTokenAreKnownAgainWhenTheFileIsLost) {
  KeyId first, second, destroyed;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    first = (*store)->create("alpha")->id;
    destroyed = (*store)->create("alpha")->id;
    second = (*store)->create("alpha")->id;
    ASSERT_TRUE((*store)->destroy(destroyed).ok());
  }
  fs::remove_all(store_directory());
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  auto records = (*store)->list();
  ASSERT_TRUE(records.ok());
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ(records->front().id, first);
  EXPECT_EQ(records->back().id, second);
  EXPECT_EQ(records->back().generation, 3u);
  EXPECT_EQ(records->back().state(), KeyState::created);
}

TEST_F(KeyStoreTest, ForeignObjectsOfTheTokenAreLeftAlone) {
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  for (const char* label :
       {"somebody else's", "bauta/", "bauta/alpha", "bauta/alpha/", "bauta//1", "bauta/alpha/0",
        "bauta/alpha/x", "bauta/alpha/1x", "bauta/al pha/1", "bauta/alpha/99999999999"})
    ASSERT_TRUE((*token)->create_key(label).ok());
  auto store = KeyStore::open(std::move(*token), store_directory());
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_TRUE((*store)->list()->empty());
}

// As a process leaves it that is killed while the token makes the key.
TEST_F(KeyStoreTest, HalfMadeKeyOfTheTokenIsRemoved) {
  const KeyId half{7};
  ASSERT_TRUE(create_embedded_token(token_directory()).ok());
  RawSession(token_directory()).import_key(half, {});
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_TRUE((*store)->list()->empty());
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_TRUE((*token)->list_keys()->empty());
}

// A copy of the token directory must not bring a destroyed key back to use.
TEST_F(KeyStoreTest, DestroyedKeyThatReturnsWithAnOldTokenIsDestroyedAgain) {
  const fs::path copy = token_directory().parent_path() / "copy";
  KeyId id;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    id = (*store)->create("alpha")->id;
    fs::copy(token_directory(), copy, fs::copy_options::recursive);
    ASSERT_TRUE((*store)->destroy(id).ok());
  }
  fs::remove_all(token_directory());
  fs::rename(copy, token_directory());
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ((*store)->find(id)->state(), KeyState::destroyed);
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_TRUE((*token)->list_keys()->empty());
}

TEST_F(KeyStoreTest, DestructionWithoutTheTokenIsCompletedWhenItReturns) {
  const fs::path away = token_directory().parent_path() / "away";
  KeyId id;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    id = (*store)->create("alpha")->id;
    fs::rename(token_directory(), away);
    EXPECT_EQ((*store)->destroy(id).error().code, ErrorCode::unavailable);
    EXPECT_EQ((*store)->find(id)->state(), KeyState::destroying);
    fs::rename(away, token_directory());
    EXPECT_EQ((*store)->derive(id, "p").error().code, ErrorCode::refused);
  }
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ((*store)->find(id)->state(), KeyState::destroyed);
  }
  auto token = open_token();
  ASSERT_TRUE(token.ok()) << token.error().message;
  EXPECT_TRUE((*token)->list_keys()->empty());
}

TEST_F(KeyStoreTest, FileThatCannotBeUnderstoodIsRefusedAndKept) {
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    ASSERT_TRUE((*store)->create("alpha", true).ok());
    ASSERT_TRUE((*store)->create_signing_key().ok());
  }
  const std::string good = file_text();
  std::vector<std::string> bad = {"",
                                  "{}",
                                  "[]",
                                  "null",
                                  "{\"format\":\"bauta keys\",\"version\":1}",
                                  "{\"format\":\"bauta keys\",\"version\":1,\"keys\":[]}",
                                  good.substr(0, good.size() / 2)};
  for (const auto& [from, to] : std::initializer_list<std::pair<std::string, std::string>>{
           {"\"version\": 1", "\"version\": 2"},
           {"bauta keys", "other"},
           {"\"generation\": 1", "\"generation\": 0"},
           {"\"generation\": 1", "\"generation\": 4294967296"},
           {"\"generation\": 1", "\"generation\": \"1\""},
           {"\"evaluation\": true", "\"evaluation\": 1"},
           {"\"created_at_s\": 1", "\"created_at_s\": -1"},
           {"\"created_at_s\": 1", "\"created_at_s\": 999999999"},
           {"\"alpha\"", "\"al/pha\""},
           {"\"id\": \"", "\"id\": \"00"},
           {"\"id\"", "\"id2\""},
           {"\"public_key\": \"", "\"public_key\": \"0"},
           {"\"public_key\": \"", "\"public_key\": 0, \"p\": \""}}) {
    std::string changed = good;
    ASSERT_NE(changed.find(from), std::string::npos) << from << " in " << good;
    bad.push_back(changed.replace(changed.find(from), from.size(), to));
  }
  for (const std::string& text : bad) {
    std::ofstream(file(), std::ios::trunc) << text;
    auto store = open_store();
    ASSERT_FALSE(store.ok()) << text;
    EXPECT_EQ(store.error().code, ErrorCode::corrupt);
    EXPECT_NE(store.error().message.find(file().string()), std::string::npos);
    EXPECT_EQ(file_text(), text);
  }
  std::ofstream(file(), std::ios::trunc) << good;
  EXPECT_TRUE(open_store().ok());
}

TEST_F(KeyStoreTest, SignsWithItsNewestKeyAndKeepsThePublicKeysOfAll) {
  const Bytes message = {1, 2, 3};
  SigningKey first, second;
  SignedBy by_first;
  {
    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    EXPECT_EQ((*store)->sign("p", message).error().code, ErrorCode::not_found);
    first = (*store)->create_signing_key().value();
    by_first = (*store)->sign("p", message).value();
    EXPECT_EQ(by_first.key, first.id);
    second = (*store)->create_signing_key().value();
    EXPECT_EQ((*store)->sign("p", message)->key, second.id);
  }
  fs::remove_all(token_directory());  // the token is lost
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  EXPECT_EQ((*store)->sign("p", message).error().code, ErrorCode::not_found);
  const auto keys = (*store)->signing_keys().value();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys.front().public_key, first.public_key);
  EXPECT_TRUE(verify_signature(keys.front().public_key, "p", message, by_first.signature).ok());
  EXPECT_FALSE(verify_signature(keys.back().public_key, "p", message, by_first.signature).ok());
  EXPECT_TRUE((*store)->create_signing_key().ok());
  EXPECT_TRUE((*store)->sign("p", message).ok());
}

// Many changes within one tick of the file system's clock.
TEST_F(KeyStoreTest, ReadsWhatWasWrittenLastHoweverQuickly) {
  auto writer_token = open_token();
  ASSERT_TRUE(writer_token.ok()) << writer_token.error().message;
  auto writer = KeyStore::open(std::move(*writer_token), store_directory());
  ASSERT_TRUE(writer.ok());
  const KeyId ids[] = {(*writer)->create("alpha")->id, (*writer)->create("beta1")->id};
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE((*writer)->suspend(ids[i % 2]).ok());
    EXPECT_EQ((*writer)->find(ids[i % 2])->state(), KeyState::suspended);
    ASSERT_TRUE((*writer)->resume(ids[i % 2]).ok());
    EXPECT_EQ((*writer)->find(ids[i % 2])->state(), KeyState::created);
  }
}

TEST_F(KeyStoreTest, ProcessesShareOneDirectory) {
  ASSERT_TRUE(open_store().ok());
  std::vector<pid_t> children;
  for (int c = 0; c < 2; ++c) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    auto store = open_store();
    for (int i = 0; store.ok() && i < 8; ++i)
      if (auto key = (*store)->create("alpha"); !key.ok() || !(*store)->activate(key->id).ok())
        _exit(1);
    _exit(store.ok() ? 0 : 2);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  std::set<uint32_t> generations;
  int active = 0;
  const auto records = (*store)->list().value();
  for (const KeyRecord& record : records) {
    generations.insert(record.generation);
    active += record.state() == KeyState::active;
    EXPECT_TRUE((*store)->derive(record.id, "p").ok());
  }
  EXPECT_EQ(generations.size(), 16u);
  EXPECT_EQ(*generations.rbegin(), 16u);
  EXPECT_EQ(active, 1);
}

TEST_F(KeyStoreTest, SuspensionByAnotherProcessTakesEffectAtOnce) {
  ASSERT_TRUE(open_store().ok());
  int to_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  if (child == 0) {
    KeyId id;
    if (read(to_child[0], id.data(), id.size()) != static_cast<ssize_t>(id.size())) _exit(1);
    auto store = open_store();
    _exit(store.ok() && (*store)->suspend(id).ok() ? 0 : 2);
  }
  auto store = open_store();
  ASSERT_TRUE(store.ok()) << store.error().message;
  const KeyId id = (*store)->create("alpha")->id;
  ASSERT_TRUE((*store)->derive(id, "p").ok());
  ASSERT_EQ(write(to_child[1], id.data(), id.size()), static_cast<ssize_t>(id.size()));
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ((*store)->derive(id, "p").error().code, ErrorCode::refused);
}

// Killed anywhere: what was acknowledged holds, and what was not is either whole or absent.
TEST_F(KeyStoreTest, AcknowledgedChangesSurviveKill) {
  ASSERT_TRUE(open_store().ok());
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    int acknowledgements[2];
    ASSERT_EQ(pipe(acknowledgements), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = open_store();
      if (!store.ok()) _exit(1);
      for (;;) {
        auto key = (*store)->create("alpha");
        if (!key.ok() || !(*store)->activate(key->id).ok()) _exit(2);
        char what = 'a';
        if (key->generation % 3 == 0) {
          if (!(*store)->destroy(key->id).ok()) _exit(3);
          what = 'd';
        }
        Bytes line(key->id.begin(), key->id.end());
        line.push_back(static_cast<uint8_t>(what));
        if (write(acknowledgements[1], line.data(), line.size()) != 17) _exit(4);
      }
    }
    close(acknowledgements[1]);
    std::this_thread::sleep_for(std::chrono::milliseconds(60 + random() % 100));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child failed: " << WEXITSTATUS(status);

    auto store = open_store();
    ASSERT_TRUE(store.ok()) << store.error().message;
    uint8_t line[17];
    while (read(acknowledgements[0], line, sizeof line) == sizeof line) {
      KeyId id;
      std::copy(line, line + id.size(), id.begin());
      auto record = (*store)->find(id);
      ASSERT_TRUE(record.ok()) << record.error().message;
      EXPECT_EQ(record->state() == KeyState::destroyed, line[16] == 'd');
      EXPECT_EQ((*store)->derive(id, "p").ok(), line[16] == 'a');
    }
    close(acknowledgements[0]);
    int active = 0;
    const auto records = (*store)->list().value();
    for (const KeyRecord& record : records) {
      active += record.state() == KeyState::active;
      EXPECT_NE(record.state(), KeyState::destroying);
      if (record.state() != KeyState::destroyed) {
        auto secret = (*store)->derive(record.id, "p");
        EXPECT_TRUE(secret.ok()) << record.generation << ": " << secret.error().message;
      }
    }
    EXPECT_LE(active, 1);
  }
}

}  // namespace
}  // namespace bauta::keys
