// A gallery in one file (docs/formats/backup.md): what its references are called, their
// ciphertexts, and the segments of bulk blocks. As encrypted as the gallery itself.
#pragma once

#include <cstdio>
#include <optional>

#include "store/segment.h"

namespace bauta::store {

// Persistent, append only.
enum class BackupRecordKind : uint8_t {
  gallery = 1,
  reference = 2,
  bulk_references = 3,  // those of one block; its segment follows
  segment = 4,
  end = 5,
};

struct BackupRecord {
  BackupRecordKind kind{};
  Bytes payload;
};

// Reads one record after the other, each verified before it is returned.
class BackupReader {
 public:
  // Errors: not_found; corrupt when it is no backup; mismatch for a newer version.
  static Result<BackupReader> open(const std::filesystem::path& path);

  // The next record; the last is `end`. Error corrupt, naming the place, for a file that was cut
  // off or damaged.
  Result<BackupRecord> next();
  // How much was read.
  uint64_t offset_bytes() const { return offset_bytes_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  BackupReader(std::filesystem::path path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  bool read(std::span<uint8_t> bytes);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
  uint64_t offset_bytes_ = 0;
  Digest chain_{};
};

struct BackupCounts {
  uint64_t references = 0, bytes = 0;
};

// Called with the references done so far.
using BackupProgress = std::function<void(uint64_t references)>;

// Writes FILE.unfinished and renames it when everything is in it and synced; an interrupted backup
// is begun anew. What changes meanwhile may or may not be in it. Errors: already_exists; no_space;
// corrupt when a bulk segment is damaged.
Result<BackupCounts> write_backup(Catalogue& catalogue, const std::filesystem::path& directory,
                                  const Gallery& gallery, const std::filesystem::path& file,
                                  const BackupProgress& progress);

// What a backup is of.
Result<NewGallery> read_backup_gallery(const std::filesystem::path& file);

// Makes the gallery `name` from a backup. Until all of it is there nobody sees the gallery; an
// interrupted restoration is begun anew. Errors: already_exists; corrupt; no_space.
Result<BackupCounts> restore_backup(Catalogue& catalogue, const std::filesystem::path& directory,
                                    const std::filesystem::path& file, const std::string& name,
                                    const BackupProgress& progress);

// Writes those of the wanted bulk segments that the backup holds, and only bytes that give exactly
// the name wanted. The caller holds the folder's lock. Returns those that it does not hold.
Result<std::vector<Segment>> recover_segments(const SegmentFolder& folder, const Gallery& gallery,
                                              std::vector<Segment> wanted,
                                              const std::filesystem::path& file);

}  // namespace bauta::store
