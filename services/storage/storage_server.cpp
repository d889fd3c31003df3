#include "services/storage/storage_server.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/random.h"
#include "store/catalogue.h"
#include "store/schema.h"

namespace bauta::storage {
namespace {

namespace fs = std::filesystem;

constexpr int kBusyTimeout_ms = 5'000;
constexpr size_t kId_bytes = 16;
constexpr size_t kMaxBackup_bytes = size_t{250} << 20;
constexpr int kMaxLogRecords = 10'000;
constexpr size_t kMaxLogText_bytes = 256;

constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE package (
  id TEXT PRIMARY KEY,
  created_at_ms INTEGER NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE TABLE log (
  engine TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  time_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  outcome TEXT NOT NULL,
  gallery TEXT NOT NULL,
  subject TEXT NOT NULL,
  digest BLOB NOT NULL,
  PRIMARY KEY (engine, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX log_subject ON log (engine, subject, sequence);
CREATE TABLE backup (
  id TEXT PRIMARY KEY,
  engine TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  digest BLOB NOT NULL
) STRICT;
)sql",
};

// Ids become file names.
Status check_id(const std::string& id) {
  const Result<Bytes> bytes = from_hex(id);
  if (bytes.ok() && bytes->size() == kId_bytes && to_hex(*bytes) == id) return {};
  return make_error(ErrorCode::invalid_argument, "an id has {} hexadecimal digits", 2 * kId_bytes);
}

Error no_backup(const std::string& engine, const std::string& id) {
  return make_error(ErrorCode::not_found, "there is no backup {} of engine {}", id, engine);
}

// Zeros over the bytes before the name goes: disks that write in place keep nothing. Fine if there
// is no such file.
Status erase_file(const fs::path& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (file < 0 && errno == ENOENT) return {};
  bool erased = file >= 0;
  if (erased) {
    const off_t size = lseek(file, 0, SEEK_END);
    const Bytes zeros(size_t{1} << 16);
    for (off_t offset = 0; erased && offset < size;) {
      const size_t part = std::min(zeros.size(), static_cast<size_t>(size - offset));
      const ssize_t count = pwrite(file, zeros.data(), part, offset);
      erased = count > 0;
      offset += count;
    }
    erased = erased && fsync(file) == 0;
    ::close(file);
  }
  if (erased && unlink(path.c_str()) == 0) return sync_directory(path.parent_path());
  return make_error(ErrorCode::unavailable, "cannot erase {}: {}", path.string(),
                    std::strerror(errno));
}

Result<Bytes> read_verified(const fs::path& path, size_t max_bytes, ByteView digest) {
  Result<Bytes> bytes = read_file(path, max_bytes);
  if (!bytes.ok() && bytes.error().code != ErrorCode::not_found) return bytes.error();
  if (bytes.ok() && std::ranges::equal(sha256(*bytes), digest)) return bytes;
  return make_error(ErrorCode::corrupt,
                    "{} is damaged or gone; restore the storage directory from "
                    "a backup",
                    path.string());
}

v1::LogRecord read_record(const store::Statement& row) {
  v1::LogRecord record;
  record.set_sequence(static_cast<uint64_t>(row.integer(0)));
  record.set_time_ms(row.integer(1));
  record.set_event(std::string(row.text(2)));
  record.set_outcome(std::string(row.text(3)));
  record.set_gallery(std::string(row.text(4)));
  record.set_subject(std::string(row.text(5)));
  record.set_digest(std::string(row.text(6)));
  return record;
}

Status check_record(const v1::LogRecord& record) {
  for (const std::string* text :
       {&record.event(), &record.outcome(), &record.gallery(), &record.subject()})
    if (text->size() > kMaxLogText_bytes)
      return make_error(ErrorCode::invalid_argument, "a text of log record {} is too long",
                        record.sequence());
  if (record.digest().size() == sizeof(Digest) && std::in_range<int64_t>(record.sequence()))
    return {};
  return make_error(ErrorCode::invalid_argument, "log record {} is malformed", record.sequence());
}

}  // namespace

Result<std::unique_ptr<StorageServer>> StorageServer::open(const fs::path& directory) {
  for (const fs::path& path : {directory, directory / "packages", directory / "backups"})
    BAUTA_CHECK(create_directory(path, 0700));
  const fs::path file = directory / "storage.sqlite";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) BAUTA_CHECK(store::create_catalogue(file, kSteps));
  BAUTA_TRY(store::Connection catalogue, store::open_catalogue(file, kBusyTimeout_ms, kSteps));
  std::unique_ptr<StorageServer> server(new StorageServer(directory, std::move(catalogue)));
  BAUTA_CHECK(server->remove_strays());
  return server;
}

Status StorageServer::remove_strays() {
  for (const char* kind : {"package", "backup"}) {
    std::error_code failed;
    for (const auto& entry :
         fs::directory_iterator(directory_ / fmt::format("{}s", kind), failed)) {
      const std::string name = entry.path().filename().string();
      BAUTA_TRY(const int64_t known,
                catalogue_.query_integer(fmt::format("SELECT count(*) FROM {} WHERE id = ?1", kind),
                                         {name}));
      if (known == 0) BAUTA_CHECK(erase_file(entry.path()));
    }
  }
  return {};
}

fs::path StorageServer::package_path(const std::string& id) const {
  return directory_ / "packages" / id;
}
fs::path StorageServer::backup_path(const std::string& id) const {
  return directory_ / "backups" / id;
}

// --- Packages. A row says that its file counts: the file comes first and goes last.

Result<v1::PutPackageReply> StorageServer::put_package(const v1::PutPackageRequest& request) {
  BAUTA_CHECK(check_id(request.id()));
  if (request.sealed().empty() || request.sealed().size() > kMaxPackage_bytes)
    return make_error(ErrorCode::invalid_argument, "a package has 1 to {} bytes, not {}",
                      kMaxPackage_bytes, request.sealed().size());
  const Digest digest = sha256(as_bytes(request.sealed()));
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement known,
            catalogue_.prepare("SELECT digest FROM package WHERE id = ?1", {request.id()}));
  BAUTA_TRY(const bool exists, known.step());
  if (exists && std::ranges::equal(known.bytes(0), digest)) return v1::PutPackageReply();
  if (exists)
    return make_error(ErrorCode::already_exists, "there is another package {}", request.id());
  BAUTA_CHECK(write_file_atomically(package_path(request.id()), as_bytes(request.sealed()), 0600));
  BAUTA_CHECK(catalogue_.run("INSERT INTO package VALUES (?1, ?2, ?3)",
                             {request.id(), now_ms(), ByteView(digest)}));
  return v1::PutPackageReply();
}

Result<v1::Package> StorageServer::get_package(const v1::GetPackageRequest& request) {
  BAUTA_CHECK(check_id(request.id()));
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            catalogue_.prepare("SELECT digest FROM package WHERE id = ?1", {request.id()}));
  BAUTA_TRY(const bool exists, row.step());
  if (!exists) return make_error(ErrorCode::not_found, "there is no package {}", request.id());
  BAUTA_TRY(const Bytes bytes,
            read_verified(package_path(request.id()), kMaxPackage_bytes, row.bytes(0)));
  v1::Package reply;
  reply.set_sealed(bytes.data(), bytes.size());
  return reply;
}

Result<v1::DeletePackageReply> StorageServer::delete_package(
    const v1::DeletePackageRequest& request) {
  BAUTA_CHECK(check_id(request.id()));
  std::lock_guard lock(mutex_);
  BAUTA_CHECK(catalogue_.run("DELETE FROM package WHERE id = ?1", {request.id()}));
  v1::DeletePackageReply reply;
  reply.set_existed(catalogue_.changed_rows() > 0);
  BAUTA_CHECK(erase_file(package_path(request.id())));
  return reply;
}

// --- Logs

Result<v1::AppendLogReply> StorageServer::append_log(const v1::AppendLogRequest& request) {
  BAUTA_CHECK(store::check_name("engine", request.engine()));
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Transaction transaction, store::Transaction::begin(catalogue_));
  const auto read_last = [&] {
    return catalogue_.query_integer(
        "SELECT coalesce((SELECT max(sequence) FROM log WHERE engine = ?1), 0)",
        {request.engine()});
  };
  BAUTA_TRY(int64_t last, read_last());
  for (const v1::LogRecord& record : request.records()) {
    BAUTA_CHECK(check_record(record));
    const auto sequence = static_cast<int64_t>(record.sequence());
    if (sequence <= last) {
      BAUTA_TRY(const int64_t same,
                catalogue_.query_integer(
                    "SELECT count(*) FROM log WHERE engine = ?1 AND sequence = ?2 AND digest = ?3",
                    {request.engine(), sequence, as_bytes(record.digest())}));
      if (same == 0)
        return make_error(ErrorCode::mismatch,
                          "record {} of engine {} is another than the one that was collected "
                          "before: its log was rewritten",
                          sequence, request.engine());
      continue;
    }
    if (sequence != last + 1)
      return make_error(ErrorCode::mismatch, "record {} of engine {} does not follow record {}",
                        sequence, request.engine(), last);
    BAUTA_CHECK(catalogue_.run(
        "INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        {request.engine(), sequence, record.time_ms(), record.event(), record.outcome(),
         record.gallery(), record.subject(), as_bytes(record.digest())}));
    last = sequence;
  }
  BAUTA_CHECK(transaction.commit());
  v1::AppendLogReply reply;
  reply.set_last(static_cast<uint64_t>(last));
  return reply;
}

Result<v1::FindLogReply> StorageServer::find_log(const v1::FindLogRequest& request) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(
      store::Statement row,
      catalogue_.prepare("SELECT sequence, time_ms, event, outcome, gallery, subject, digest "
                         "FROM log WHERE engine = ?1 AND (?2 = '' OR subject = ?2) "
                         "ORDER BY sequence DESC LIMIT ?3",
                         {request.engine(), request.subject(),
                          std::clamp(static_cast<int>(request.max_records()), 1, kMaxLogRecords)}));
  v1::FindLogReply reply;
  while (true) {
    BAUTA_TRY(const bool more, row.step());
    if (!more) return reply;
    *reply.add_records() = read_record(row);
  }
}

// --- Backups

Result<v1::PutBackupReply> StorageServer::put_backup(const v1::PutBackupRequest& request) {
  BAUTA_CHECK(store::check_name("engine", request.engine()));
  if (request.file().empty() || request.file().size() > kMaxBackup_bytes)
    return make_error(ErrorCode::invalid_argument, "a backup has 1 to {} bytes, not {}",
                      kMaxBackup_bytes, request.file().size());
  v1::PutBackupReply reply;
  reply.set_id(random_hex(kId_bytes));
  const Digest digest = sha256(as_bytes(request.file()));
  std::lock_guard lock(mutex_);
  BAUTA_CHECK(write_file_atomically(backup_path(reply.id()), as_bytes(request.file()), 0600));
  BAUTA_CHECK(catalogue_.run("INSERT INTO backup VALUES (?1, ?2, ?3, ?4, ?5)",
                             {reply.id(), request.engine(), now_ms(),
                              static_cast<int64_t>(request.file().size()), ByteView(digest)}));
  return reply;
}

Result<v1::ListBackupsReply> StorageServer::list_backups(const v1::ListBackupsRequest& request) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            catalogue_.prepare("SELECT id, created_at_ms, bytes FROM backup WHERE engine = ?1 "
                               "ORDER BY rowid DESC",
                               {request.engine()}));
  v1::ListBackupsReply reply;
  while (true) {
    BAUTA_TRY(const bool more, row.step());
    if (!more) return reply;
    v1::StoredBackup& backup = *reply.add_backups();
    backup.set_id(std::string(row.text(0)));
    backup.set_created_at_ms(row.integer(1));
    backup.set_size_bytes(static_cast<uint64_t>(row.integer(2)));
  }
}

Result<v1::GalleryBackup> StorageServer::get_backup(const v1::GetBackupRequest& request) {
  BAUTA_CHECK(check_id(request.id()));
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            catalogue_.prepare("SELECT digest FROM backup WHERE id = ?1 AND engine = ?2",
                               {request.id(), request.engine()}));
  BAUTA_TRY(const bool exists, row.step());
  if (!exists) return no_backup(request.engine(), request.id());
  BAUTA_TRY(const Bytes bytes,
            read_verified(backup_path(request.id()), kMaxBackup_bytes, row.bytes(0)));
  v1::GalleryBackup reply;
  reply.set_file(bytes.data(), bytes.size());
  return reply;
}

Result<v1::DeleteBackupReply> StorageServer::delete_backup(const v1::DeleteBackupRequest& request) {
  BAUTA_CHECK(check_id(request.id()));
  std::lock_guard lock(mutex_);
  BAUTA_CHECK(catalogue_.run("DELETE FROM backup WHERE id = ?1 AND engine = ?2",
                             {request.id(), request.engine()}));
  if (catalogue_.changed_rows() == 0) return no_backup(request.engine(), request.id());
  BAUTA_CHECK(erase_file(backup_path(request.id())));
  return v1::DeleteBackupReply();
}

}  // namespace bauta::storage
