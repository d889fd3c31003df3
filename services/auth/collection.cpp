#include "services/auth/collection.h"

#include <algorithm>

#include "base/file.h"
#include "base/random.h"
#include "store/backup.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxExport_bytes = size_t{250} << 20;

struct RemovedAtEnd {
  fs::path path;
  ~RemovedAtEnd() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
};

}  // namespace

Result<std::unique_ptr<Collection>> Collection::open(const fs::path& directory) {
  std::error_code failed;
  fs::remove_all(directory / "exports", failed);
  BAUTA_CHECK(create_directory(directory / "exports", 0700));
  BAUTA_TRY(store::Catalogue catalogue, store::Catalogue::open(directory / "catalogue.sqlite"));
  return std::unique_ptr<Collection>(new Collection(directory, std::move(catalogue)));
}

Result<v1::ReadLogReply> Collection::read_log(const v1::ReadLogRequest& request) {
  const size_t count = std::clamp<size_t>(request.max_records(), 1, store::kMaxAuditRecordsPerRead);
  BAUTA_TRY(const auto records, catalogue_.read_audit(request.after(), count));
  v1::ReadLogReply reply;
  for (const store::AuditRecord& record : records) {
    v1::LogRecord& out = *reply.add_records();
    out.set_sequence(record.sequence);
    out.set_time_ms(record.time_ms);
    out.set_event(store::audit_event_name(record.entry.event));
    out.set_outcome(store::audit_outcome_name(record.entry.outcome));
    out.set_gallery(record.entry.gallery);
    out.set_subject(record.entry.subject);
    out.set_digest(std::string(as_text(record.digest)));
  }
  return reply;
}

Result<v1::GalleryBackup> Collection::export_gallery(const v1::ExportGalleryRequest& request) {
  BAUTA_TRY(const store::Gallery gallery, catalogue_.find_gallery(request.gallery()));
  Bytes name(8);
  random_bytes(name);
  const RemovedAtEnd file{directory_ / "exports" / to_hex(name)};
  const RemovedAtEnd unfinished{fs::path(file.path) += ".unfinished"};
  BAUTA_CHECK(store::write_backup(catalogue_, directory_, gallery, file.path, [](uint64_t) {}));
  std::error_code failed;
  if (fs::file_size(file.path, failed) > kMaxExport_bytes)
    return make_error(ErrorCode::no_space,
                      "the backup of {} is larger than {} bytes; write it with 'bauta gallery "
                      "export'",
                      request.gallery(), kMaxExport_bytes);
  BAUTA_TRY(const Bytes bytes, read_file(file.path, kMaxExport_bytes));
  v1::GalleryBackup reply;
  reply.set_file(bytes.data(), bytes.size());
  return reply;
}

}  // namespace bauta::auth
