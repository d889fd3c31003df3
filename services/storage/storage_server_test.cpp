#include "services/storage/storage_server.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/file.h"

namespace bauta::storage {
namespace {

namespace fs = std::filesystem;

const std::string kId(32, 'a'), kOtherId(32, 'b');

class StorageServerTest : public testing::Test {
 protected:
  StorageServerTest() {
    std::string pattern = (fs::temp_directory_path() / "bauta-storage-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    open();
  }
  ~StorageServerTest() override { fs::remove_all(directory_); }

  void open() {
    server_.reset();
    server_ = StorageServer::open(directory_).value();
  }
  Status put(const std::string& id, const std::string& sealed) {
    v1::PutPackageRequest request;
    request.set_id(id);
    request.set_sealed(sealed);
    BAUTA_CHECK(server_->put_package(request));
    return {};
  }
  Result<std::string> get(const std::string& id) {
    v1::GetPackageRequest request;
    request.set_id(id);
    BAUTA_TRY(const v1::Package package, server_->get_package(request));
    return package.sealed();
  }
  static v1::LogRecord record(uint64_t sequence, char digest) {
    v1::LogRecord record;
    record.set_sequence(sequence);
    record.set_event("identification");
    record.set_subject(fmt::format("s{}", sequence % 2));
    record.set_digest(std::string(32, digest));
    return record;
  }
  Result<uint64_t> append(const std::vector<v1::LogRecord>& records) {
    v1::AppendLogRequest request;
    request.set_engine("e");
    for (const v1::LogRecord& each : records) *request.add_records() = each;
    BAUTA_TRY(const v1::AppendLogReply reply, server_->append_log(request));
    return reply.last();
  }

  fs::path directory_;
  std::unique_ptr<StorageServer> server_;
};

TEST_F(StorageServerTest, APackageStaysUntilItIsDeleted) {
  ASSERT_TRUE(put(kId, "sealed").ok());
  ASSERT_TRUE(put(kId, "sealed").ok());
  EXPECT_EQ(put(kId, "other").error().code, ErrorCode::already_exists);
  open();
  EXPECT_EQ(get(kId).value(), "sealed");
  v1::DeletePackageRequest request;
  request.set_id(kId);
  EXPECT_TRUE(server_->delete_package(request)->existed());
  EXPECT_FALSE(server_->delete_package(request)->existed());
  EXPECT_EQ(get(kId).error().code, ErrorCode::not_found);
  EXPECT_TRUE(fs::is_empty(directory_ / "packages"));
}

TEST_F(StorageServerTest, IdsAreNoPaths) {
  for (const std::string& id : {std::string(), std::string("../x"), std::string(32, 'A'),
                                std::string(31, 'a'), std::string(33, 'a')})
    EXPECT_EQ(put(id, "sealed").error().code, ErrorCode::invalid_argument) << id;
  EXPECT_EQ(put(kId, "").error().code, ErrorCode::invalid_argument);
}

TEST_F(StorageServerTest, ADamagedPackageIsNotGivenOut) {
  ASSERT_TRUE(put(kId, "sealed").ok());
  std::ofstream(directory_ / "packages" / kId) << "sealeb";
  EXPECT_EQ(get(kId).error().code, ErrorCode::corrupt);
  fs::remove(directory_ / "packages" / kId);
  EXPECT_EQ(get(kId).error().code, ErrorCode::corrupt);
}

TEST_F(StorageServerTest, WhatAnInterruptedChangeLeftIsRemoved) {
  ASSERT_TRUE(put(kId, "sealed").ok());
  std::ofstream(directory_ / "packages" / kOtherId) << "stray";
  std::ofstream(directory_ / "backups" / (kOtherId + ".part")) << "stray";
  open();
  EXPECT_TRUE(get(kId).ok());
  EXPECT_FALSE(fs::exists(directory_ / "packages" / kOtherId));
  EXPECT_TRUE(fs::is_empty(directory_ / "backups"));
}

TEST_F(StorageServerTest, ALogOnlyGrows) {
  EXPECT_EQ(append({}).value(), 0u);
  EXPECT_EQ(append({record(1, 'a'), record(2, 'b')}).value(), 2u);
  EXPECT_EQ(append({record(2, 'b'), record(3, 'c')}).value(), 3u);
  EXPECT_EQ(append({record(2, 'x')}).error().code, ErrorCode::mismatch);
  EXPECT_EQ(append({record(5, 'd')}).error().code, ErrorCode::mismatch);
  EXPECT_EQ(append({record(4, 'd'), record(6, 'e')}).error().code, ErrorCode::mismatch);
  EXPECT_EQ(append({}).value(), 3u);  // nothing of what was refused
  v1::FindLogRequest request;
  request.set_engine("e");
  request.set_subject("s1");
  request.set_max_records(10);
  const v1::FindLogReply found = server_->find_log(request).value();
  ASSERT_EQ(found.records_size(), 2);
  EXPECT_EQ(found.records(0).sequence(), 3u);
}

TEST_F(StorageServerTest, BackupsAreOfTheirEngine) {
  v1::PutBackupRequest put_request;
  put_request.set_engine("e.door");
  put_request.set_file("backup");
  v1::GetBackupRequest get_request;
  get_request.set_engine("e.door");
  get_request.set_id(server_->put_backup(put_request)->id());
  EXPECT_EQ(server_->get_backup(get_request)->file(), "backup");
  v1::ListBackupsRequest list;
  list.set_engine("e.door");
  EXPECT_EQ(server_->list_backups(list)->backups_size(), 1);
  v1::DeleteBackupRequest removal;
  removal.set_engine("f.door");
  removal.set_id(get_request.id());
  EXPECT_EQ(server_->delete_backup(removal).error().code, ErrorCode::not_found);
  removal.set_engine("e.door");
  EXPECT_TRUE(server_->delete_backup(removal).ok());
  EXPECT_EQ(server_->get_backup(get_request).error().code, ErrorCode::not_found);
  EXPECT_TRUE(fs::is_empty(directory_ / "backups"));
}

}  // namespace
}  // namespace bauta::storage
