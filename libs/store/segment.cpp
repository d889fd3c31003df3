#include "store/segment.h"

#include <cerrno>
#include <cstring>
#include <set>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"

namespace bauta::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "BAUTASEG";
constexpr uint16_t kVersion = 1;
constexpr size_t kHeaderBytes = 4096;
constexpr size_t kDigestOffset = kHeaderBytes - sizeof(Digest);
// Of images or sums: 4,096 references of dimension 1,024 have 64 MiB.
constexpr uint64_t kMaxPartBytes = uint64_t{1} << 27;
constexpr uint64_t kAlignment_bytes = 64;  // of images and sums
constexpr const char* kSuffix = ".segment";
constexpr const char* kDamagedSuffix = ".damaged";

struct Header {
  SegmentContent content;
  uint64_t images_bytes = 0, sums_bytes = 0;
  uint32_t images_checksum = 0, sums_checksum = 0;
};

Bytes write_header(const Header& header) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u16(kVersion);
  writer.u16(header.content.bulk ? 1 : 0);
  writer.u32(header.content.block);
  writer.u64(static_cast<uint64_t>(header.content.gallery));
  writer.raw(header.content.parameters);
  writer.raw(header.content.key_id);
  writer.u64(header.images_bytes);
  writer.u64(header.sums_bytes);
  writer.u32(header.images_checksum);
  writer.u32(header.sums_checksum);
  writer.raw(header.content.live);
  Bytes bytes = std::move(writer).take();
  bytes.resize(kDigestOffset);
  const Digest digest = sha256(bytes);
  bytes.insert(bytes.end(), digest.begin(), digest.end());
  return bytes;
}

Error damaged_segment(const fs::path& path, std::string_view how) {
  return make_error(ErrorCode::corrupt, "the segment {} is damaged: {}", path.string(), how);
}

template <size_t size>
Status read_array(ByteReader& reader, std::array<uint8_t, size>& out) {
  BAUTA_TRY(const ByteView bytes, reader.raw(size));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return {};
}

Result<Header> read_header(ByteView file, const fs::path& path) {
  if (file.size() < kHeaderBytes) return damaged_segment(path, "it is shorter than its header");
  const ByteView bytes = file.first(kHeaderBytes);
  const Digest digest = sha256(bytes.first(kDigestOffset));
  if (!std::equal(digest.begin(), digest.end(), bytes.begin() + kDigestOffset))
    return damaged_segment(path, "its header fails its checksum");
  ByteReader reader(bytes, "segment");
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  BAUTA_TRY(const uint16_t version, reader.u16());
  if (as_text(magic) != kMagic) return damaged_segment(path, "it is no segment");
  if (version != kVersion)
    return make_error(ErrorCode::mismatch,
                      "the segment {} has version {} and this program knows {}; use the version of "
                      "bauta that wrote it, or a newer one",
                      path.string(), version, kVersion);
  Header header;
  BAUTA_TRY(const uint16_t bulk, reader.u16());
  header.content.bulk = bulk != 0;
  BAUTA_TRY(header.content.block, reader.u32());
  BAUTA_TRY(const uint64_t gallery, reader.u64());
  header.content.gallery = static_cast<int64_t>(gallery);
  BAUTA_CHECK(read_array(reader, header.content.parameters));
  BAUTA_CHECK(read_array(reader, header.content.key_id));
  BAUTA_TRY(header.images_bytes, reader.u64());
  BAUTA_TRY(header.sums_bytes, reader.u64());
  BAUTA_TRY(header.images_checksum, reader.u32());
  BAUTA_TRY(header.sums_checksum, reader.u32());
  BAUTA_CHECK(read_array(reader, header.content.live));
  if (header.images_bytes > kMaxPartBytes || header.sums_bytes > kMaxPartBytes ||
      file.size() != kHeaderBytes + header.images_bytes + header.sums_bytes)
    return damaged_segment(path,
                           fmt::format("it has {} bytes where {} are due", file.size(),
                                       kHeaderBytes + header.images_bytes + header.sums_bytes));
  // Beyond what was read: flags and reserved bytes of no meaning yet.
  if (header.images_bytes % kAlignment_bytes != 0 || header.sums_bytes % kAlignment_bytes != 0 ||
      !std::ranges::equal(write_header(header), bytes))
    return damaged_segment(path, "its header says what this program never writes");
  return header;
}

std::span<const uint32_t> as_words(ByteView bytes) {
  return {reinterpret_cast<const uint32_t*>(bytes.data()), bytes.size() / sizeof(uint32_t)};
}

ByteView as_byte_view(std::span<const uint32_t> words) {
  return {reinterpret_cast<const uint8_t*>(words.data()), words.size_bytes()};
}

// A file that was removed by whoever replaced it keeps its bytes while it is mapped.
Result<ByteView> map_file(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    const int reason = errno;
    return make_error(reason == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                      "cannot open the segment {}: {}", path.string(), std::strerror(reason));
  }
  struct stat status {};
  void* address = MAP_FAILED;
  if (fstat(descriptor, &status) == 0 && status.st_size > 0)
    address =
        mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_SHARED, descriptor, 0);
  const int reason = errno;
  close(descriptor);
  if (status.st_size == 0) return damaged_segment(path, "it is empty");
  if (address == MAP_FAILED)
    return make_error(ErrorCode::unavailable, "cannot map the segment {}: {}", path.string(),
                      std::strerror(reason));
  return ByteView(static_cast<const uint8_t*>(address), static_cast<size_t>(status.st_size));
}

}  // namespace

MappedSegment::~MappedSegment() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Result<std::shared_ptr<const MappedSegment>> MappedSegment::open(const fs::path& path) {
  std::shared_ptr<MappedSegment> segment(new MappedSegment);
  segment->path_ = path;
  BAUTA_TRY(segment->bytes_, map_file(path));
  BAUTA_TRY(const Header header, read_header(segment->bytes_, path));
  const ByteView images = segment->bytes_.subspan(kHeaderBytes, header.images_bytes);
  // All pages at once, in the largest pieces that the system has; without it one by one.
  const auto begin = const_cast<uint8_t*>(segment->bytes_.data());
  (void)madvise(begin, kHeaderBytes + images.size(), MADV_HUGEPAGE);
  (void)madvise(begin, kHeaderBytes + images.size(), MADV_POPULATE_READ);
  if (crc32c(images) != header.images_checksum)
    return damaged_segment(path, "its images fail their checksum");
  segment->content_ = header.content;
  segment->images_ = as_words(images);
  segment->sums_ = as_words(segment->bytes_.subspan(kHeaderBytes + header.images_bytes));
  segment->sums_checksum_ = header.sums_checksum;
  return std::shared_ptr<const MappedSegment>(std::move(segment));
}

Status MappedSegment::verify_sums() const {
  if (crc32c(as_byte_view(sums_)) == sums_checksum_) return {};
  return damaged_segment(path_, "its sums fail their checksum");
}

Bytes make_segment(const SegmentContent& content, const WordSpans& images, const WordSpans& sums) {
  Bytes segment(kHeaderBytes);
  const auto append = [&](const WordSpans& parts, uint64_t& size_bytes, uint32_t& checksum) {
    for (const std::span<const uint32_t> part : parts) {
      const ByteView bytes = as_byte_view(part);
      size_bytes += bytes.size();
      checksum = crc32c(bytes, checksum);
      segment.insert(segment.end(), bytes.begin(), bytes.end());
    }
  };
  Header header{.content = content};
  append(images, header.images_bytes, header.images_checksum);
  append(sums, header.sums_bytes, header.sums_checksum);
  const Bytes header_bytes = write_header(header);
  std::copy(header_bytes.begin(), header_bytes.end(), segment.begin());
  return segment;
}

std::string segment_name(ByteView segment) {
  const ByteView digest = segment.subspan(kDigestOffset, 16);
  const auto header = read_header(segment, "of this program");
  BAUTA_ASSERT(header.ok());
  return fmt::format("{:04}-{}{}", header->content.block, to_hex(digest), kSuffix);
}

Result<SegmentContent> read_segment_content(ByteView segment) {
  BAUTA_TRY(const Header header, read_header(segment, "of a backup"));
  return header.content;
}

Result<Bytes> change_gallery(ByteView segment, int64_t gallery) {
  BAUTA_TRY(Header header, read_header(segment, "of a backup"));
  header.content.gallery = gallery;
  Bytes changed = write_header(header);
  const ByteView words = segment.subspan(kHeaderBytes);
  changed.insert(changed.end(), words.begin(), words.end());
  return changed;
}

SegmentFolder::SegmentFolder(const fs::path& directory, int64_t gallery)
    : path_(directory / "segments" / std::to_string(gallery)) {}

Result<FileLock> SegmentFolder::lock(int64_t wait_ms) const {
  BAUTA_CHECK(create_directory(path_.parent_path(), 0700));
  BAUTA_CHECK(create_directory(path_, 0700));
  return FileLock::acquire(path_ / "lock", wait_ms);
}

Result<std::string> SegmentFolder::write(ByteView segment) const {
  const std::string name = segment_name(segment);
  BAUTA_CHECK(write_file_atomically(path_ / name, segment, 0600));
  return name;
}

Result<std::shared_ptr<const MappedSegment>> SegmentFolder::open(const std::string& name) const {
  return MappedSegment::open(path_ / name);
}

bool SegmentFolder::holds(const Segment& segment) const {
  std::error_code missing;
  return fs::file_size(path_ / segment.file, missing) == segment.size_bytes && !missing;
}

void SegmentFolder::remove(const std::string& name) const {
  std::error_code ignored;
  fs::remove(path_ / name, ignored);
}

void SegmentFolder::quarantine(const std::string& name) const {
  std::error_code ignored;
  fs::rename(path_ / name, path_ / (name + kDamagedSuffix), ignored);
}

std::vector<fs::path> SegmentFolder::others(std::span<const Segment> segments,
                                            bool keep_damaged) const {
  std::set<std::string> kept = {"lock"};
  for (const Segment& segment : segments) kept.insert(segment.file);
  std::vector<fs::path> found;
  std::error_code end_of_listing;
  for (fs::directory_iterator entry(path_, end_of_listing), end; !end_of_listing && entry != end;
       entry.increment(end_of_listing)) {
    const std::string name = entry->path().filename();
    if (!kept.contains(name) && !(keep_damaged && name.ends_with(kDamagedSuffix)))
      found.push_back(entry->path());
  }
  return found;
}

Status SegmentFolder::remove_others(std::span<const Segment> segments, bool keep_damaged) const {
  std::error_code reason;
  for (const fs::path& path : others(segments, keep_damaged)) {
    fs::remove(path, reason);
    if (reason)
      return make_error(ErrorCode::unavailable, "cannot remove {}: {}", path.string(),
                        reason.message());
  }
  return {};
}

bool SegmentFolder::has_others(std::span<const Segment> segments) const {
  return !others(segments, /*keep_damaged=*/true).empty();
}

}  // namespace bauta::store
