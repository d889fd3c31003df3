#include "services/linkage/consent_ledger.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"
#include "keys/embedded_token.h"

namespace bauta::linkage {
namespace {

namespace fs = std::filesystem;

class ConsentLedgerTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-ledger-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    if (!fs::exists(keys::embedded_token_config("/").module_path))
      GTEST_SKIP() << "SoftHSM2 is not installed; install the package softhsm2 to run this test";
    ASSERT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
    store_ = keys::KeyStore::open(
                 keys::Token::open(keys::embedded_token_config(directory_ / "token")).value(),
                 directory_ / "keys")
                 .value();
    ASSERT_TRUE(store_->create_signing_key().ok());
  }
  void TearDown() override {
    store_.reset();
    fs::remove_all(directory_);
  }

  fs::path file() const { return directory_ / "consents.log"; }
  std::unique_ptr<ConsentLedger> open() { return ConsentLedger::open(file(), *store_).value(); }
  Result<LedgerVerification> verify() {
    return verify_ledger(file(), store_->signing_keys().value());
  }
  Bytes content() { return read_file(file(), 1 << 20).value(); }

  fs::path directory_;
  std::unique_ptr<keys::KeyStore> store_;
};

TEST_F(ConsentLedgerTest, GoesOnWhereItEnded) {
  const Receipt first = open()->append({"opted_in", "p", "e", "door", "opt-in 1"}).value();
  const auto ledger = open();
  const Receipt second = ledger->append({"opted_out", "p", "e", "door", ""}).value();
  EXPECT_EQ(second.previous, first.digest);
  EXPECT_EQ(ledger->append({"registered", "q", "", "", ""}).value().previous, second.digest);
  EXPECT_EQ(verify()->records, 3u);
  const std::vector<Receipt> found = ledger->find("p").value();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].record, second.record);
}

TEST_F(ConsentLedgerTest, EveryChangedByteIsFound) {
  {
    const auto ledger = open();
    ASSERT_TRUE(ledger->append({"opted_in", "p", "e", "door", ""}).ok());
    ASSERT_TRUE(ledger->append({"opted_out", "p", "e", "door", ""}).ok());
  }
  const Bytes whole = content();
  for (size_t i = 0; i < whole.size(); i += 7) {
    Bytes changed = whole;
    changed[i] ^= 1;
    ASSERT_TRUE(write_file_atomically(file(), changed).ok());
    if (i + 1 == whole.size()) continue;  // without its end it is what an interrupted append leaves
    EXPECT_FALSE(verify().ok()) << "byte " << i;
  }
}

TEST_F(ConsentLedgerTest, ARemovedRecordIsFound) {
  {
    const auto ledger = open();
    for (int i = 0; i < 3; ++i)
      ASSERT_TRUE(ledger->append({"opted_in", "p", "e", "door", ""}).ok());
  }
  const Bytes whole = content();
  const auto end = std::find(whole.begin(), whole.end(), '\n') + 1;
  ASSERT_TRUE(
      write_file_atomically(file(), ByteView(&*end, static_cast<size_t>(whole.end() - end))).ok());
  EXPECT_EQ(verify().error().code, ErrorCode::corrupt);
  EXPECT_FALSE(ConsentLedger::open(file(), *store_).ok());
}

TEST_F(ConsentLedgerTest, ACutEndIsFoundByWhoAppendedIt) {
  const auto ledger = open();
  ASSERT_TRUE(ledger->verify().ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(ledger->append({"opted_in", "p", "e", "door", ""}).ok());
    ASSERT_TRUE(ledger->verify().ok());
  }
  const auto whole_bytes = fs::file_size(file());
  fs::resize_file(file(), whole_bytes / 2);  // two records of one size
  EXPECT_TRUE(verify().ok());
  EXPECT_EQ(ledger->verify().error().code, ErrorCode::corrupt);
  fs::resize_file(file(), 0);
  EXPECT_EQ(ledger->verify().error().code, ErrorCode::corrupt);
  fs::remove(file());
  EXPECT_FALSE(ledger->verify().ok());
}

TEST_F(ConsentLedgerTest, AnInterruptedAppendIsRemoved) {
  ASSERT_TRUE(open()->append({"opted_in", "p", "e", "door", ""}).ok());
  const Bytes whole = content();
  std::ofstream(file(), std::ios::app) << "0123456789abcdef";
  ASSERT_TRUE(open()->append({"opted_out", "p", "e", "door", ""}).ok());
  EXPECT_EQ(verify()->records, 2u);
  EXPECT_TRUE(std::equal(whole.begin(), whole.end(), content().begin()));
}

TEST_F(ConsentLedgerTest, AReceiptHoldsForItsRecordAndKeyAlone) {
  const Receipt receipt = open()->append({"deleted", "p", "", "", ""}).value();
  const keys::SigningKey key = store_->signing_keys()->back();
  std::string json = to_json(receipt, store_->signing_keys().value()).value();
  EXPECT_EQ(verify_receipt(json, key.public_key).value(), receipt.record);
  ASSERT_TRUE(store_->create_signing_key().ok());
  EXPECT_FALSE(verify_receipt(json, store_->signing_keys()->back().public_key).ok());
  json.replace(json.find("deleted"), 7, "deletex");
  EXPECT_EQ(verify_receipt(json, key.public_key).error().code, ErrorCode::corrupt);
  for (const char* text : {"", "[]", "{}", "{\"record\":1}", "nonsense"})
    EXPECT_EQ(verify_receipt(text, key.public_key).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace bauta::linkage
