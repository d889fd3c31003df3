// The contracts that the key service keeps, and what it takes as one.

#include "services/key/contracts.h"

#include <limits>

#include <gtest/gtest.h>

#include "base/file.h"
#include "keys/embedded_token.h"
#include "services/contract.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

v1::EmbeddingContract some_contract(double threshold = 0.4) {
  v1::EmbeddingContract contract;
  contract.set_engine("engine");
  contract.set_dimension(64);
  contract.set_metric("cosine");
  contract.set_threshold_verify(threshold);
  contract.set_threshold_identify(0.5);
  return contract;
}

RegisteredContract registered(const std::string& gallery, double threshold = 0.4) {
  RegisteredContract contract{gallery, "tenant", "edge", 0, some_contract(threshold), {}};
  contract.ticket.set_nonce(std::string(16, 'n'));
  contract.ticket.set_issued_at_ms(12345);
  contract.ticket.set_signature(std::string(64, 's'));
  return contract;
}

class DirectoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bauta-contracts-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(directory_); }

  fs::path directory_;
};

// --- Their files

class ContractsTest : public DirectoryTest {
 protected:
  std::unique_ptr<Contracts> open() { return Contracts::open(directory_).value(); }
};

TEST_F(ContractsTest, VersionsCountTheChangesOfOneGallery) {
  const auto contracts = open();
  EXPECT_EQ(contracts->put(registered("a")).value(), 1u);
  EXPECT_EQ(contracts->put(registered("a")).value(), 1u) << "the same again changes nothing";
  EXPECT_EQ(contracts->put(registered("a", 0.45)).value(), 2u);
  EXPECT_EQ(contracts->put(registered("b")).value(), 1u);
  EXPECT_EQ(contracts->put(registered("a")).value(), 3u);
  const RegisteredContract found = open()->find("a").value();
  EXPECT_EQ(found.version, 3u);
  EXPECT_EQ(found.tenant, "tenant");
  EXPECT_EQ(found.edge_id, "edge");
  EXPECT_EQ(found.contract.threshold_verify(), 0.4);
  EXPECT_EQ(found.ticket.SerializeAsString(), registered("a").ticket.SerializeAsString());
  EXPECT_EQ(contracts->find("c").error().code, ErrorCode::not_found);
}

TEST_F(ContractsTest, AGalleryStaysWithItsTenant) {
  const auto contracts = open();
  ASSERT_TRUE(contracts->put(registered("a")).ok());
  RegisteredContract other = registered("a", 0.45);
  other.tenant = "other";
  EXPECT_EQ(contracts->put(other).error().code, ErrorCode::refused);
  EXPECT_EQ(contracts->find("a")->contract.threshold_verify(), 0.4);
}

TEST_F(ContractsTest, NamesThatAreNoFileNamesAreKept) {
  const auto contracts = open();
  for (const char* gallery : {"..", "/etc/passwd", "a/b", "a b", "\n"}) {
    ASSERT_TRUE(contracts->put(registered(gallery)).ok());
    EXPECT_EQ(contracts->find(gallery)->gallery, gallery);
  }
  size_t files = 0;
  for (const auto& file : fs::directory_iterator(directory_)) files += file.is_regular_file();
  EXPECT_EQ(files, 5u);
}

TEST_F(ContractsTest, EveryDamagedByteIsFound) {
  ASSERT_TRUE(open()->put(registered("a")).ok());
  const fs::path file = fs::directory_iterator(directory_)->path();
  const Bytes good = read_file(file, 1 << 16).value();
  EXPECT_EQ(serialize_registered(parse_registered(good).value()), good);
  for (size_t i = 0; i < good.size(); ++i) {
    Bytes bad = good;
    bad[i] ^= 0x10;
    ASSERT_TRUE(write_file_atomically(file, bad).ok());
    EXPECT_EQ(open()->find("a").error().code, ErrorCode::corrupt) << "byte " << i;
    EXPECT_EQ(parse_registered(ByteView(good).first(i)).error().code, ErrorCode::corrupt) << i;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(parse_registered(longer).ok());
}

TEST_F(ContractsTest, AFileUnderAnotherGallerysNameIsNotTaken) {
  ASSERT_TRUE(open()->put(registered("a")).ok());
  const fs::path a = fs::directory_iterator(directory_)->path();
  ASSERT_TRUE(open()->put(registered("b", 0.9)).ok());
  for (const auto& file : fs::directory_iterator(directory_))
    if (file.path() != a) fs::copy_file(file.path(), a, fs::copy_options::overwrite_existing);
  EXPECT_EQ(open()->find("a").error().code, ErrorCode::corrupt);
}

TEST_F(ContractsTest, AProcessSeesTheChangesOfAnother) {
  const auto first = open(), second = open();
  ASSERT_TRUE(first->put(registered("a")).ok());
  EXPECT_EQ(second->find("a")->version, 1u);
  usleep(20'000);  // the time of a change is what tells
  ASSERT_TRUE(first->put(registered("a", 0.45)).ok());
  EXPECT_EQ(second->find("a")->version, 2u);
}

// --- Registered at the key service

class RegisterContractTest : public DirectoryTest {
 protected:
  void SetUp() override {
    DirectoryTest::SetUp();
    ASSERT_TRUE(keys::create_embedded_token(directory_ / "token").ok());
    ASSERT_TRUE(open().ok());
    ASSERT_TRUE(keys_->give_first_key("tenant").ok());
    ASSERT_TRUE(keys_->give_first_key("other").ok());
    ASSERT_TRUE(keys_->give_first_key("measured", /*evaluation=*/true).ok());
    ASSERT_TRUE(keys_->grant_book().give_first({{"edge", "*", "*", grants::kAllRights}}).ok());
  }
  void TearDown() override {
    keys_.reset();
    DirectoryTest::TearDown();
  }
  Status open() {
    keys_.reset();
    auto token = keys::Token::open(keys::embedded_token_config(directory_ / "token")).value();
    auto store = keys::KeyStore::open(std::move(token), directory_ / "keys").value();
    BAUTA_TRY(keys_, KeyServer::open(std::move(store), directory_ / "keys"));
    return {};
  }
  v1::RegisterContractRequest request(const v1::EmbeddingContract& contract,
                                      const std::string& gallery = "gallery",
                                      const std::string& tenant = "tenant") {
    TicketScope scope;
    scope.kind = TicketKind::contract;
    scope.edge_id = "edge";
    scope.gallery = gallery;
    scope.key_id = to_hex(keys_->store().active(tenant)->id);
    scope.contract = contract_digest(contract);
    const SecretBytes seed = keys_->issue_edge_seed(scope.key_id, "edge").value();
    v1::RegisterContractRequest request;
    request.set_key_id(scope.key_id);
    *request.mutable_contract() = contract;
    request.mutable_origin()->set_edge_id("edge");
    request.mutable_origin()->set_gallery(gallery);
    *request.mutable_origin()->mutable_ticket() = TicketSigner::create(seed)->sign(scope).value();
    return request;
  }
  ErrorCode code_of(const v1::RegisterContractRequest& request) {
    const auto reply = keys_->register_contract(request);
    return reply.ok() ? ErrorCode{} : reply.error().code;
  }

  std::unique_ptr<KeyServer> keys_;
};

TEST_F(RegisterContractTest, CountsVersionsAndPutsThemOnRecord) {
  EXPECT_EQ(keys_->register_contract(request(some_contract()))->version(), 1u);
  EXPECT_EQ(keys_->register_contract(request(some_contract(0.45)))->version(), 2u);
  EXPECT_TRUE(keys_->ledger().contracts().contains("gallery"));
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(keys_->contracts().find("gallery")->contract.threshold_verify(), 0.45);
}

TEST_F(RegisterContractTest, RefusesWhatItDoesNotJudgeBy) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double threshold : {-2.0, 0.0, 1.0, 1e300, nan}) {
    EXPECT_EQ(code_of(request(some_contract(threshold))), ErrorCode::invalid_argument) << threshold;
    v1::EmbeddingContract identify = some_contract();
    identify.set_threshold_identify(threshold);
    EXPECT_EQ(code_of(request(identify)), ErrorCode::invalid_argument) << threshold;
  }
  for (const double tolerance : {-1.0, 0.09, 1e300, nan}) {
    v1::EmbeddingContract contract = some_contract();
    contract.set_norm_tolerance(tolerance);
    EXPECT_EQ(code_of(request(contract)), ErrorCode::invalid_argument) << tolerance;
  }
  v1::EmbeddingContract wide = some_contract();
  wide.set_dimension(1 << 30);
  EXPECT_FALSE(keys_->register_contract(request(wide)).ok());
  EXPECT_TRUE(keys_->ledger().contracts().empty());
  EXPECT_EQ(keys_->contracts().find("gallery").error().code, ErrorCode::not_found);
}

TEST_F(RegisterContractTest, AGalleryStaysWithItsTenant) {
  ASSERT_TRUE(keys_->register_contract(request(some_contract())).ok());
  EXPECT_EQ(code_of(request(some_contract(0.45), "gallery", "other")), ErrorCode::refused);
  EXPECT_EQ(keys_->contracts().find("gallery")->contract.threshold_verify(), 0.4);
}

TEST_F(RegisterContractTest, RefusesWhatTheEdgeHasNotSigned) {
  const v1::RegisterContractRequest good = request(some_contract());
  v1::RegisterContractRequest bad = good;
  bad.mutable_contract()->set_threshold_verify(0.3);
  EXPECT_EQ(code_of(bad), ErrorCode::refused);
  bad = good;
  bad.mutable_origin()->set_gallery("other");
  EXPECT_EQ(code_of(bad), ErrorCode::refused);
  bad = good;
  bad.mutable_origin()->set_edge_id("gate");
  EXPECT_EQ(code_of(bad), ErrorCode::refused);
  bad = good;
  bad.mutable_origin()->clear_ticket();
  EXPECT_EQ(code_of(bad), ErrorCode::refused);
  bad = good;
  bad.set_key_id(to_hex(keys_->store().active("other")->id));
  EXPECT_EQ(code_of(bad), ErrorCode::refused);
  EXPECT_EQ(code_of(good), ErrorCode{});
}

// Else whoever carries the tickets could put a former contract in the place of the present one.
TEST_F(RegisterContractTest, ATicketRegistersOnce) {
  const v1::RegisterContractRequest former = request(some_contract());
  ASSERT_TRUE(keys_->register_contract(former).ok());
  ASSERT_TRUE(keys_->register_contract(request(some_contract(0.45))).ok());
  EXPECT_EQ(code_of(former), ErrorCode::refused);
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(code_of(former), ErrorCode::refused);
  EXPECT_EQ(keys_->contracts().find("gallery")->contract.threshold_verify(), 0.45);
}

TEST_F(RegisterContractTest, AMissingOrDamagedContractThatTheLogSpeaksOfStopsAStart) {
  ASSERT_TRUE(keys_->register_contract(request(some_contract())).ok());
  const fs::path file = fs::directory_iterator(directory_ / "keys" / "contracts")->path();
  const Bytes good = read_file(file, 1 << 16).value();
  fs::remove(file);
  const Status missing = open();
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::corrupt);
  EXPECT_NE(missing.error().message.find("gallery"), std::string::npos) << missing.error().message;
  Bytes bad = good;
  bad[bad.size() / 2] ^= 1;
  ASSERT_TRUE(write_file_atomically(file, bad).ok());
  EXPECT_EQ(open().error().code, ErrorCode::corrupt);
  ASSERT_TRUE(write_file_atomically(file, good).ok());
  EXPECT_TRUE(open().ok());
}

}  // namespace
}  // namespace bauta::key
