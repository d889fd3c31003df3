#include "store/backup.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace bauta::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "BAUTABAK";
constexpr uint16_t kVersion = 1;
constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 28;
constexpr size_t kReferencesPerRestore = 256;

Digest next_digest(const Digest& chain, BackupRecordKind kind, ByteView payload) {
  ByteWriter head;
  head.raw(chain);
  head.u8(static_cast<uint8_t>(kind));
  head.u64(payload.size());
  const ByteView parts[] = {head.bytes(), payload};
  return sha256(parts);
}

Error file_error(const char* action, const fs::path& path, int reason) {
  const ErrorCode code = reason == ENOENT                       ? ErrorCode::not_found
                         : reason == ENOSPC || reason == EDQUOT ? ErrorCode::no_space
                                                                : ErrorCode::unavailable;
  return make_error(code, "cannot {} the backup {}: {}", action, path.string(),
                    std::strerror(reason));
}

class BackupWriter {
 public:
  static Result<BackupWriter> create(const fs::path& path) {
    std::error_code none;
    if (fs::exists(path, none))
      return make_error(ErrorCode::already_exists, "{} exists already; choose another file",
                        path.string());
    BackupWriter writer(path);
    writer.file_.reset(std::fopen(writer.unfinished().c_str(), "wb"));
    if (writer.file_ == nullptr) return file_error("create", path, errno);
    ByteWriter head;
    head.raw(as_bytes(kMagic));
    head.u16(kVersion);
    BAUTA_CHECK(writer.put(head.bytes()));
    return writer;
  }

  Status write(BackupRecordKind kind, ByteView payload) {
    chain_ = next_digest(chain_, kind, payload);
    ByteWriter head;
    head.u8(static_cast<uint8_t>(kind));
    head.u64(payload.size());
    BAUTA_CHECK(put(head.bytes()));
    BAUTA_CHECK(put(payload));
    return put(chain_);
  }

  Result<uint64_t> finish() {
    if (std::fflush(file_.get()) != 0 || fsync(fileno(file_.get())) != 0)
      return file_error("write", path_, errno);
    if (std::rename(unfinished().c_str(), path_.c_str()) != 0)
      return file_error("rename", path_, errno);
    BAUTA_CHECK(sync_directory(path_.has_parent_path() ? path_.parent_path() : fs::path(".")));
    return bytes_;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit BackupWriter(fs::path path) : path_(std::move(path)) {}
  std::string unfinished() const { return path_.string() + ".unfinished"; }
  Status put(ByteView bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
      return file_error("write", path_, errno);
    bytes_ += bytes.size();
    return {};
  }

  fs::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t bytes_ = 0;
  Digest chain_{};
};

Bytes gallery_record(const Gallery& gallery) {
  ByteWriter writer;
  writer.text(gallery.name);
  writer.text(gallery.key_id);
  writer.text(gallery.contract);
  writer.u32(gallery.dimension);
  return std::move(writer).take();
}

Result<NewGallery> parse_gallery_record(const BackupRecord& record) {
  if (record.kind != BackupRecordKind::gallery)
    return make_error(ErrorCode::corrupt, "the backup does not begin with its gallery");
  ByteReader reader(record.payload, "gallery of the backup");
  NewGallery gallery;
  BAUTA_TRY(gallery.name, reader.text(kMaxNameBytes));
  BAUTA_TRY(gallery.key_id, reader.text(kMaxNameBytes));
  BAUTA_TRY(gallery.contract, reader.text(kMaxContractBytes));
  BAUTA_TRY(gallery.dimension, reader.u32());
  BAUTA_CHECK(reader.finish());
  return gallery;
}

void write_name(ByteWriter& writer, const ReferenceView& view) {
  writer.u32(view.position);
  writer.u64(static_cast<uint64_t>(view.created_at_ms));
  writer.text(view.subject);
}

Result<RestoredReference> read_name(ByteReader& reader) {
  RestoredReference reference;
  BAUTA_TRY(reference.position, reader.u32());
  BAUTA_TRY(const uint64_t created_at_ms, reader.u64());
  reference.created_at_ms = static_cast<int64_t>(created_at_ms);
  BAUTA_TRY(reference.subject, reader.text(kMaxNameBytes));
  return reference;
}

Result<RestoredReference> parse_reference_record(const BackupRecord& record) {
  ByteReader reader(record.payload, "reference of the backup");
  BAUTA_TRY(RestoredReference reference, read_name(reader));
  BAUTA_TRY(const uint32_t size, reader.u32());
  BAUTA_TRY(const ByteView original, reader.raw(size));
  reference.original.assign(original.begin(), original.end());
  BAUTA_CHECK(reader.finish());
  return reference;
}

Result<std::vector<RestoredReference>> parse_bulk_record(const BackupRecord& record) {
  ByteReader reader(record.payload, "bulk references of the backup");
  BAUTA_TRY(const uint32_t count, reader.u32());
  if (count > kBlockPositions)
    return make_error(ErrorCode::corrupt, "a block of the backup has {} references", count);
  std::vector<RestoredReference> references;
  for (uint32_t i = 0; i < count; ++i) {
    BAUTA_TRY(RestoredReference reference, read_name(reader));
    references.push_back(std::move(reference));
  }
  BAUTA_CHECK(reader.finish());
  return references;
}

// The references of one bulk block, gathered while they stream by.
class BulkBlockWriter {
 public:
  BulkBlockWriter(BackupWriter& writer, const SegmentFolder& folder, const SegmentSet& set)
      : writer_(writer), folder_(folder), set_(set) {}

  Status add(const ReferenceView& view) {
    const uint32_t block = view.position / kBlockPositions;
    if (count_ > 0 && block != block_) BAUTA_CHECK(flush());
    block_ = block;
    write_name(names_, view);
    ++count_;
    return {};
  }
  Status flush() {
    if (count_ == 0) return {};
    const auto segment = std::find_if(set_.segments.begin(), set_.segments.end(),
                                      [&](const Segment& row) { return row.block == block_; });
    if (segment == set_.segments.end()) return {};  // imported since the backup began
    BAUTA_TRY(const auto mapped, folder_.open(segment->file));
    ByteWriter payload;
    payload.u32(count_);
    payload.raw(names_.bytes());
    BAUTA_CHECK(writer_.write(BackupRecordKind::bulk_references, payload.bytes()));
    BAUTA_CHECK(writer_.write(BackupRecordKind::segment, mapped->bytes()));
    names_ = {};
    count_ = 0;
    return {};
  }

 private:
  BackupWriter& writer_;
  const SegmentFolder& folder_;
  const SegmentSet& set_;
  ByteWriter names_;
  uint32_t block_ = 0, count_ = 0;
};

}  // namespace

Result<BackupCounts> write_backup(Catalogue& catalogue, const fs::path& directory,
                                  const Gallery& gallery, const fs::path& file,
                                  const BackupProgress& progress) {
  const SegmentFolder folder(directory, gallery.id);
  BAUTA_TRY(const SegmentSet set, catalogue.segments(gallery));
  BAUTA_TRY(BackupWriter writer, BackupWriter::create(file));
  BAUTA_CHECK(writer.write(BackupRecordKind::gallery, gallery_record(gallery)));
  BackupCounts counts;
  BulkBlockWriter bulk(writer, folder, set);
  BAUTA_CHECK(catalogue.for_each_live(gallery, [&](const ReferenceView& view) -> Status {
    progress(++counts.references);
    if (view.bulk) return bulk.add(view);
    ByteWriter payload;
    write_name(payload, view);
    payload.text(as_text(view.original));
    return writer.write(BackupRecordKind::reference, payload.bytes());
  }));
  BAUTA_CHECK(bulk.flush());
  BAUTA_TRY(const SegmentSet now, catalogue.segments(gallery));
  if (now.key_id != gallery.key_id)
    return make_error(
        ErrorCode::busy,
        "gallery {} was renewed to another key while it was exported; export it again",
        gallery.name);
  ByteWriter end;
  end.u64(counts.references);
  BAUTA_CHECK(writer.write(BackupRecordKind::end, end.bytes()));
  BAUTA_TRY(counts.bytes, writer.finish());
  return counts;
}

Result<BackupReader> BackupReader::open(const fs::path& path) {
  BackupReader reader(path, std::fopen(path.c_str(), "rb"));
  if (reader.file_ == nullptr) return file_error("open", path, errno);
  uint8_t head[10] = {};
  if (!reader.read(head) || as_text(ByteView(head).first(8)) != kMagic)
    return make_error(ErrorCode::corrupt, "{} is no backup of a gallery", path.string());
  if (const int version = head[8] | head[9] << 8; version != kVersion)
    return make_error(ErrorCode::mismatch,
                      "the backup {} has version {} and this program knows {}; use the version of "
                      "bauta that wrote it, or a newer one",
                      path.string(), version, kVersion);
  return reader;
}

bool BackupReader::read(std::span<uint8_t> bytes) {
  const size_t count = std::fread(bytes.data(), 1, bytes.size(), file_.get());
  offset_bytes_ += count;
  return count == bytes.size();
}

Result<BackupRecord> BackupReader::next() {
  const uint64_t begin = offset_bytes_;
  const auto damaged = [&](std::string_view how) {
    return make_error(ErrorCode::corrupt, "the backup {} is {} at byte {}; use another copy",
                      path_.string(), how, begin);
  };
  uint8_t head[9] = {};
  if (!read(head)) return damaged("cut off");
  uint64_t size = 0;
  std::memcpy(&size, head + 1, sizeof size);
  if (size > kMaxRecordBytes) return damaged("damaged");
  BackupRecord record;
  record.kind = static_cast<BackupRecordKind>(head[0]);
  // In pieces, so that a damaged size reserves no more than the file has.
  while (record.payload.size() < size) {
    const size_t done = record.payload.size();
    record.payload.resize(std::min<uint64_t>(size, done + (size_t{1} << 24)));
    if (!read(std::span(record.payload).subspan(done))) return damaged("cut off");
  }
  Digest stored{};
  if (!read(stored)) return damaged("cut off");
  chain_ = next_digest(chain_, record.kind, record.payload);
  if (stored != chain_) return damaged("damaged");
  return record;
}

Result<NewGallery> read_backup_gallery(const fs::path& file) {
  BAUTA_TRY(BackupReader reader, BackupReader::open(file));
  BAUTA_TRY(const BackupRecord first, reader.next());
  return parse_gallery_record(first);
}

Result<BackupCounts> restore_backup(Catalogue& catalogue, const fs::path& directory,
                                    const fs::path& file, const std::string& name,
                                    const BackupProgress& progress) {
  BAUTA_TRY(BackupReader reader, BackupReader::open(file));
  BAUTA_TRY(const BackupRecord first, reader.next());
  BAUTA_TRY(NewGallery wanted, parse_gallery_record(first));
  wanted.name = name;
  BAUTA_TRY(const Gallery gallery, catalogue.begin_restoration(wanted));
  const SegmentFolder folder(directory, gallery.id);
  BAUTA_TRY(const FileLock lock, folder.lock(0));
  BackupCounts counts;
  std::vector<RestoredReference> references;
  const auto flush = [&]() -> Status {
    BAUTA_CHECK(catalogue.restore_references(gallery, references));
    counts.references += references.size();
    progress(counts.references);
    references.clear();
    return {};
  };
  while (true) {
    BAUTA_TRY(const BackupRecord record, reader.next());
    if (record.kind == BackupRecordKind::reference) {
      BAUTA_TRY(RestoredReference reference, parse_reference_record(record));
      references.push_back(std::move(reference));
      if (references.size() >= kReferencesPerRestore) BAUTA_CHECK(flush());
    } else if (record.kind == BackupRecordKind::bulk_references) {
      BAUTA_CHECK(flush());
      BAUTA_TRY(references, parse_bulk_record(record));
      BAUTA_TRY(const BackupRecord segment, reader.next());
      if (segment.kind != BackupRecordKind::segment)
        return make_error(ErrorCode::corrupt, "a block of the backup {} has no segment",
                          file.string());
      BAUTA_TRY(const Bytes bytes, change_gallery(segment.payload, gallery.id));
      BAUTA_TRY(const SegmentContent content, read_segment_content(bytes));
      BAUTA_TRY(const std::string written, folder.write(bytes));
      BAUTA_CHECK(catalogue.restore_block(gallery, {content.block, true, written, bytes.size()},
                                          content.live, references));
      counts.references += references.size();
      progress(counts.references);
      references.clear();
    } else if (record.kind == BackupRecordKind::end) {
      break;
    }
  }
  BAUTA_CHECK(flush());
  counts.bytes = reader.offset_bytes();
  BAUTA_CHECK(catalogue.finish_restoration(gallery, name));
  return counts;
}

Result<std::vector<Segment>> recover_segments(const SegmentFolder& folder, const Gallery& gallery,
                                              std::vector<Segment> wanted, const fs::path& file) {
  BAUTA_TRY(BackupReader reader, BackupReader::open(file));
  while (!wanted.empty()) {
    BAUTA_TRY(const BackupRecord record, reader.next());
    if (record.kind == BackupRecordKind::end) break;
    if (record.kind != BackupRecordKind::segment) continue;
    BAUTA_TRY(const Bytes bytes, change_gallery(record.payload, gallery.id));
    const auto found = std::find_if(wanted.begin(), wanted.end(), [&](const Segment& row) {
      return row.file == segment_name(bytes);
    });
    if (found == wanted.end()) continue;
    BAUTA_CHECK(folder.write(bytes));
    wanted.erase(found);
  }
  return wanted;
}

}  // namespace bauta::store
