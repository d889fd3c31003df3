// Segment files: the blocks of a gallery as a search reads them, one immutable file per block
// (docs/formats/segment.md). The store knows words and positions, and nothing of ciphertexts.
#pragma once

#include <array>
#include <memory>

#include "base/file.h"
#include "store/catalogue.h"

namespace bauta::store {

// Everything that decides a segment's bytes beside its words; so equal content gives equal files.
struct SegmentContent {
  Digest parameters{};  // of the matcher
  std::array<uint8_t, 16> key_id{};
  int64_t gallery = 0;
  uint32_t block = 0;
  bool bulk = false;                                // was made whole: no originals, no sums
  std::array<uint8_t, kBlockPositions / 8> live{};  // bit j%8 of byte j/8: coefficient j
};

// A segment in memory: mapped from its file, shared with the page cache. Immutable.
class MappedSegment {
 public:
  // Maps the file and verifies its header and its images. Errors: not_found; corrupt for a file
  // that is truncated, longer, or fails a checksum; mismatch for a newer version.
  static Result<std::shared_ptr<const MappedSegment>> open(const std::filesystem::path& path);
  ~MappedSegment();
  MappedSegment(const MappedSegment&) = delete;
  MappedSegment& operator=(const MappedSegment&) = delete;

  const SegmentContent& content() const { return content_; }
  bool is_live(size_t coefficient) const {
    return (content_.live[coefficient / 8] >> (coefficient % 8) & 1) != 0;
  }
  // At addresses divisible by 64.
  std::span<const uint32_t> images() const { return images_; }
  std::span<const uint32_t> sums() const { return sums_; }
  // The sums are needed by changes alone, so they are not verified at opening. Error corrupt.
  Status verify_sums() const;
  // The whole file.
  ByteView bytes() const { return bytes_; }

 private:
  MappedSegment() = default;

  std::filesystem::path path_;
  ByteView bytes_;
  SegmentContent content_;
  std::span<const uint32_t> images_, sums_;
  uint32_t sums_checksum_ = 0;
};

using WordSpans = std::vector<std::span<const uint32_t>>;

// The bytes of a segment file.
Bytes make_segment(const SegmentContent& content, const WordSpans& images, const WordSpans& sums);
// The name of a segment: its block, and the beginning of its header's digest, which covers the
// checksums of the rest.
std::string segment_name(ByteView segment);
// What the header of a segment says. Errors as MappedSegment::open.
Result<SegmentContent> read_segment_content(ByteView segment);
// The same segment for another gallery. Errors as MappedSegment::open.
Result<Bytes> change_gallery(ByteView segment, int64_t gallery);

// The directory of one gallery's segments. Which of its files count is said by the catalogue alone.
class SegmentFolder {
 public:
  // segments/ID in the server's directory; made when the first segment is written.
  SegmentFolder(const std::filesystem::path& directory, int64_t gallery);

  const std::filesystem::path& path() const { return path_; }
  // Held by whoever writes or removes files here. Error busy.
  Result<FileLock> lock(int64_t wait_ms) const;

  // Durable on return, under segment_name(). Errors: no_space, unavailable.
  Result<std::string> write(ByteView segment) const;
  Result<std::shared_ptr<const MappedSegment>> open(const std::string& name) const;
  // Whether a file of this name and size is there.
  bool holds(const Segment& segment) const;
  // Of a file that does not count, or not yet.
  void remove(const std::string& name) const;
  // Renames a damaged file to NAME.damaged, so that nobody takes it for a segment. Fine if it is
  // gone.
  void quarantine(const std::string& name) const;
  // Removes the files that are not among `names`: what interrupted writes left, what was replaced,
  // and, unless they are to be kept, damaged ones.
  Status remove_others(std::span<const Segment> segments, bool keep_damaged) const;
  // Whether there are such, but damaged ones.
  bool has_others(std::span<const Segment> segments) const;

 private:
  std::vector<std::filesystem::path> others(std::span<const Segment> segments,
                                            bool keep_damaged) const;

  std::filesystem::path path_;
};

}  // namespace bauta::store
