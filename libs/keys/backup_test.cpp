// A second token takes over from the first.

#include "keys/backup.h"

#include <fstream>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "keys/key_store.h"
#include "keys/rsa_public_key.h"
#include "keys/softhsm_fixture.h"
#include "keys/wrapped_key.h"

namespace bauta::keys {
namespace {

namespace fs = std::filesystem;

class BackupTest : public SoftHsmTest {
 protected:
  void SetUp() override {
    SoftHsmTest::SetUp();
    if (IsSkipped()) return;
    ASSERT_TRUE(create_embedded_token(token_directory()).ok());
    ASSERT_TRUE(create_embedded_token(second_token()).ok());
    backup_key_ = open(second_token())->create_backup_key().value();
  }

  fs::path second_token() const { return token_directory().parent_path() / "second"; }
  fs::path second_store() const { return token_directory().parent_path() / "second keys"; }
  fs::path copies() const { return token_directory().parent_path() / "copies"; }
  fs::path copy_of(const KeyId& id) const { return copies() / (to_hex(id) + ".wrapped"); }

  static std::unique_ptr<Token> open(const fs::path& directory) {
    return std::move(Token::open(embedded_token_config(directory))).value();
  }
  std::unique_ptr<KeyStore> first() {
    return std::move(KeyStore::open(open(token_directory()), store_directory())).value();
  }
  std::unique_ptr<KeyStore> second() {
    return std::move(KeyStore::open(open(second_token()), second_store())).value();
  }
  Status trust(ByteView public_key) {
    return trust_backup_key(embedded_token_config(token_directory()),
                            embedded_officer_pin(token_directory()), public_key);
  }

  // Two keys in the first token, backed up. Fills first_secret_ and signer_.
  void back_up_two_keys() {
    ASSERT_TRUE(trust(backup_key_).ok());
    auto store = first();
    signer_ = store->create_signing_key()->public_key;
    active_ = store->create("alpha")->id;
    ASSERT_TRUE(store->activate(active_).ok());
    suspended_ = store->create("beta", true)->id;
    ASSERT_TRUE(store->suspend(suspended_).ok());
    secret_ = to_hex(store->derive(active_, "p")->span());
    auto made = store->back_up(copies());
    ASSERT_TRUE(made.ok()) << made.error().message;
    ASSERT_EQ(*made, 2u);
  }

  Bytes backup_key_, signer_;
  KeyId active_{}, suspended_{};
  std::string secret_;
};

TEST_F(BackupTest, SecondTokenDerivesTheSameSecrets) {
  back_up_two_keys();
  fs::remove_all(token_directory());
  fs::remove_all(store_directory());
  auto store = second();
  auto restored = store->restore(copies(), signer_);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  EXPECT_EQ(restored->restored.size(), 2u);
  EXPECT_EQ(store->active("alpha")->id, active_);
  EXPECT_EQ(to_hex(store->derive(active_, "p")->span()), secret_);
  EXPECT_EQ(store->find(suspended_)->state(), KeyState::suspended);
  EXPECT_TRUE(store->find(suspended_)->evaluation);
  EXPECT_EQ(store->create("alpha")->generation, 2u);

  auto again = store->restore(copies(), signer_);
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_TRUE(again->restored.empty());
  EXPECT_EQ(again->present, 2u);
  EXPECT_EQ(store->list()->size(), 3u);
}

TEST_F(BackupTest, RestoredKeyIsAsWellGuardedAndCanBeBackedUpInTurn) {
  back_up_two_keys();
  {
    auto store = second();
    ASSERT_TRUE(store->restore(copies(), signer_).ok());
  }
  {
    const RawSession raw(second_token());
    const CK_OBJECT_HANDLE key = raw.find(active_);
    ASSERT_NE(key, 0u);
    uint8_t buffer[64];
    CK_ATTRIBUTE value{CKA_VALUE, buffer, sizeof buffer};
    EXPECT_EQ(raw.functions()->C_GetAttributeValue(raw.session(), key, &value, 1),
              CKR_ATTRIBUTE_SENSITIVE);
  }
  const fs::path third_token = token_directory().parent_path() / "third";
  ASSERT_TRUE(create_embedded_token(third_token).ok());
  const Bytes third_key = open(third_token)->create_backup_key().value();
  ASSERT_TRUE(trust_backup_key(embedded_token_config(second_token()),
                               embedded_officer_pin(second_token()), third_key)
                  .ok());
  const WrappedKey copy = open(second_token())->wrap_key(active_).value();
  auto third = open(third_token);
  ASSERT_TRUE(third->unwrap_key(copy, active_, "bauta/alpha/1").ok());
  EXPECT_EQ(to_hex(third->derive(active_, "p")->span()), secret_);
}

TEST_F(BackupTest, NothingIsWrappedWithoutTheOfficersTrust) {
  auto store = first();
  ASSERT_TRUE(store->create_signing_key().ok());
  const KeyId id = store->create("alpha")->id;
  auto made = store->back_up(copies());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::not_found);
  EXPECT_NE(made.error().message.find("trusts no backup key"), std::string::npos);
  EXPECT_FALSE(fs::exists(copy_of(id)));
  EXPECT_TRUE(store->find(id)->copies.empty());
  store.reset();
  // The user's PIN is not enough, even to somebody who has it.
  const Status by_user = trust_backup_key(
      embedded_token_config(token_directory()),
      PinSource::parse("file:" + (token_directory() / "user-pin").string()).value(), backup_key_);
  EXPECT_EQ(by_user.error().code, ErrorCode::refused);
}

TEST_F(BackupTest, OnlyTheBackupKeyTrustedLastIsUsed) {
  const fs::path third_token = token_directory().parent_path() / "third";
  ASSERT_TRUE(create_embedded_token(third_token).ok());
  const Bytes third_key = open(third_token)->create_backup_key().value();
  ASSERT_TRUE(trust(third_key).ok());
  back_up_two_keys();  // trusts the second
  {
    auto store = KeyStore::open(open(third_token), second_store()).value();
    auto restored = store->restore(copies(), signer_);
    ASSERT_FALSE(restored.ok());
    EXPECT_EQ(restored.error().code, ErrorCode::not_found) << restored.error().message;
    EXPECT_NE(restored.error().message.find("backup key"), std::string::npos);
    EXPECT_TRUE(store->list()->empty());
  }
  EXPECT_TRUE(second()->restore(copies(), signer_).ok());
}

TEST_F(BackupTest, BackupKeyIsMadeOnceAndRefusedUnlessItIsOne) {
  EXPECT_EQ(open(second_token())->create_backup_key().value(), backup_key_);
  EXPECT_TRUE(parse_rsa_public_key(backup_key_).ok());
  for (size_t size_bytes : {size_t{0}, size_t{1}, backup_key_.size() / 2, backup_key_.size() - 1})
    EXPECT_EQ(trust(ByteView(backup_key_).first(size_bytes)).error().code,
              ErrorCode::invalid_argument);
  Bytes longer = backup_key_;
  longer.push_back(0);
  EXPECT_EQ(trust(longer).error().code, ErrorCode::invalid_argument);
  const auto token = open(token_directory());
  const Bytes not_rsa = token->public_key(token->create_signing_key("x").value()).value();
  EXPECT_EQ(parse_rsa_public_key(not_rsa).error().code, ErrorCode::invalid_argument);
}

TEST_F(BackupTest, ChangedCopiesAreRefused) {
  back_up_two_keys();
  fs::remove(copy_of(suspended_));
  const Bytes good = read_file(copy_of(active_), 65536).value();
  auto store = second();
  auto code_of = [&](const Bytes& bytes) {
    std::ofstream(copy_of(active_), std::ios::trunc | std::ios::binary) << as_text(bytes);
    auto restored = store->restore(copies(), signer_);
    return restored.ok() ? ErrorCode::internal : restored.error().code;
  };
  for (size_t i = 0; i < good.size(); i += 3) {
    // The id of the signing key is a hint for people; the signature is checked with the key given.
    if (i >= good.size() - 80 && i < good.size() - 64) continue;
    Bytes changed = good;
    changed[i] ^= 0x10;
    EXPECT_EQ(code_of(changed), ErrorCode::corrupt) << i;
  }
  for (size_t size_bytes = 0; size_bytes < good.size(); size_bytes += 7)
    EXPECT_EQ(code_of(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size_bytes))),
              ErrorCode::corrupt);
  EXPECT_TRUE(store->list()->empty());
  EXPECT_EQ(code_of(good), ErrorCode::internal) << "the good one is accepted";
}

// A signed copy that names another key than it holds: what was derived before would not be derived
// again, so it is not taken.
TEST_F(BackupTest, CopyOfAnotherKeyThanItNamesIsRefusedAndNotKept) {
  back_up_two_keys();
  KeyCopy copy =
      parse_key_copy(read_file(copy_of(active_), 65536).value(), signer_, "copy").value();
  const KeyCopy other =
      parse_key_copy(read_file(copy_of(suspended_), 65536).value(), signer_, "copy").value();
  copy.key = other.key;
  {
    auto store = first();
    const Bytes serialized = serialize(copy);
    const SignedBy signature = store->sign(kWrappedKeyPurpose, serialized).value();
    const Bytes bytes = with_signature(serialized, signature);
    ASSERT_TRUE(write_file_atomically(copy_of(active_), bytes).ok());
    fs::remove(copy_of(suspended_));
  }
  auto store = second();
  auto restored = store->restore(copies(), signer_);
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.error().code, ErrorCode::mismatch) << restored.error().message;
  EXPECT_TRUE(store->list()->empty());
  store.reset();
  EXPECT_TRUE(open(second_token())->list_keys()->empty());
}

TEST_F(BackupTest, CopiesOfAnotherSignerAreRefused) {
  back_up_two_keys();
  const Bytes other = first()->create_signing_key()->public_key;
  auto store = second();
  auto restored = store->restore(copies(), other);
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.error().code, ErrorCode::corrupt);
  EXPECT_TRUE(store->list()->empty());
  EXPECT_EQ(store->restore(copies(), {}).error().code, ErrorCode::invalid_argument);
}

TEST_F(BackupTest, DestroyingAKeyDestroysItsCopies) {
  back_up_two_keys();
  auto store = first();
  ASSERT_TRUE(store->destroy(active_).ok());
  EXPECT_FALSE(fs::exists(copy_of(active_)));
  EXPECT_TRUE(fs::exists(copy_of(suspended_)));
  EXPECT_TRUE(store->find(active_)->copies.empty());
  auto made = store->back_up(copies());
  ASSERT_TRUE(made.ok()) << made.error().message;
  EXPECT_EQ(*made, 1u) << "a destroyed key is backed up";
}

TEST_F(BackupTest, KeyIsNotDestroyedBeforeItsCopiesAre) {
  back_up_two_keys();
  const fs::path away = copies().string() + " away";
  fs::rename(copies(), away);
  {
    auto store = first();
    const Status status = store->destroy(active_);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::unavailable);
    EXPECT_NE(status.error().message.find(copy_of(active_).string()), std::string::npos);
    EXPECT_EQ(store->find(active_)->state(), KeyState::destroying);
    EXPECT_EQ(store->derive(active_, "p").error().code, ErrorCode::refused);
  }
  EXPECT_EQ(first()->find(active_)->state(), KeyState::destroying) << "and it still starts";
  fs::rename(away, copies());
  EXPECT_EQ(first()->find(active_)->state(), KeyState::destroyed);
  EXPECT_FALSE(fs::exists(copy_of(active_)));

  // The other's copies are lost for ever.
  fs::remove_all(copies());
  auto store = first();
  EXPECT_EQ(store->destroy(suspended_).error().code, ErrorCode::unavailable);
  ASSERT_TRUE(store->forget_copies(copies()).ok());
  EXPECT_TRUE(store->destroy(suspended_).ok());
  EXPECT_EQ(store->find(suspended_)->state(), KeyState::destroyed);
}

TEST_F(BackupTest, DestroyedKeyIsNotRestored) {
  back_up_two_keys();
  const fs::path kept = copies().string() + " kept";
  fs::copy(copies(), kept);
  ASSERT_TRUE(second()->restore(copies(), signer_).ok());
  auto store = second();
  ASSERT_TRUE(store->destroy(active_).ok());
  auto restored = store->restore(kept, signer_);
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  EXPECT_EQ(restored->destroyed, 1u);
  EXPECT_EQ(restored->present, 1u);
  EXPECT_EQ(store->find(active_)->state(), KeyState::destroyed);
}

TEST_F(BackupTest, RestoringNeverGivesATenantTwoActiveKeys) {
  back_up_two_keys();
  auto store = second();
  const KeyId own = store->create("alpha")->id;
  ASSERT_TRUE(store->activate(own).ok());
  ASSERT_TRUE(store->restore(copies(), signer_).ok());
  EXPECT_EQ(store->active("alpha")->id, own);
  EXPECT_EQ(store->find(active_)->state(), KeyState::deactivated);
  EXPECT_TRUE(store->derive(active_, "p").ok());
}

TEST_F(BackupTest, DirectoriesThatCannotBeUsedAreRefused) {
  back_up_two_keys();
  auto store = first();
  EXPECT_FALSE(store->back_up("/proc/self/copies").ok());
  EXPECT_EQ(store->back_up(copies() / "line\nend").error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(store->restore(copies() / "absent", signer_).error().code, ErrorCode::not_found);
  fs::create_directory(copies() / "empty");
  EXPECT_EQ(store->restore(copies() / "empty", signer_).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace bauta::keys
