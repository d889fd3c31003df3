#include "services/auth/compaction.h"

#include <bit>
#include <optional>

namespace bauta::auth {
namespace {

using match::kDegree;
using match::kLimbs;

static_assert(kDegree == store::kBlockPositions);
static_assert(match::kMaxSlots == store::kMaxPositions);

// Blocks with positions beyond this are stored with room for so many more.
constexpr size_t kLargeBlock = 768;
constexpr size_t kRoom = 256;

using MaybeBlock = std::optional<match::Block>;

// Everything that one compaction works with.
class Compactor {
 public:
  Compactor(store::Catalogue& catalogue, const store::SegmentFolder& folder,
            const store::Gallery& gallery, const match::EvaluationKeys& keys, ThreadPool& threads)
      : catalogue_(catalogue), folder_(folder), gallery_(gallery), keys_(keys), threads_(threads) {}

  Result<Compaction> run(const CompactionOptions& options) {
    BAUTA_TRY(const uint64_t until, catalogue_.generation(gallery_));
    BAUTA_TRY(set_, catalogue_.segments(gallery_));
    if (set_.key_id != gallery_.key_id)
      return make_error(ErrorCode::busy, "gallery {} was renewed to another key; try again",
                        gallery_.name);
    BAUTA_TRY(std::vector<uint32_t> blocks, catalogue_.changed_blocks(gallery_, set_.compacted));
    Compaction done;
    if (options.repair) {
      BAUTA_CHECK(add_damaged(blocks, done));
      const size_t damaged = done.lost.size();
      if (!options.backup.empty() && damaged > 0) {
        BAUTA_TRY(done.lost,
                  store::recover_segments(folder_, gallery_, std::move(done.lost), options.backup));
      }
      done.recovered = damaged - done.lost.size();
    }
    std::vector<store::Segment> put;
    std::vector<uint32_t> dropped;
    for (const uint32_t block : blocks) {
      BAUTA_TRY(const auto segment, write_block(block, until));
      if (segment)
        put.push_back(*segment);
      else
        dropped.push_back(block);
    }
    // With a new version of the set, servers look again, also at what was recovered.
    if (until != set_.compacted || !blocks.empty() || done.recovered > 0)
      BAUTA_CHECK(catalogue_.replace_segments(gallery_, set_.version, until, put, dropped));
    BAUTA_TRY(const store::SegmentSet now, catalogue_.segments(gallery_));
    BAUTA_CHECK(folder_.remove_others(now.segments, !options.repair || !done.lost.empty()));
    done.written = put.size();
    done.dropped = dropped.size();
    return done;
  }

 private:
  Status add_damaged(std::vector<uint32_t>& blocks, Compaction& done) {
    for (const store::Segment& segment : set_.segments) {
      const auto opened = open_segment(folder_, gallery_, keys_, segment);
      if (opened.ok() && (*opened)->verify_sums().ok()) continue;
      if (!opened.ok() && opened.error().code == ErrorCode::unavailable) return opened.error();
      if (segment.bulk)
        done.lost.push_back(segment);
      else if (std::find(blocks.begin(), blocks.end(), segment.block) == blocks.end())
        blocks.push_back(segment.block);
    }
    return {};
  }

  // The new segment of a block; none if nothing in it is live.
  Result<std::optional<store::Segment>> write_block(uint32_t index, uint64_t until) {
    BAUTA_TRY(const std::vector<store::Holder> held, catalogue_.read_block(gallery_, index, until));
    if (held.empty()) return std::optional<store::Segment>();
    const size_t folding = stored_folding(keys_.parameters(), held);
    BAUTA_TRY(MaybeBlock continued, continue_block(index, folding, held));
    if (!continued) {
      continued.emplace(keys_.parameters(), folding);
      for (const store::Holder& holder : held) BAUTA_CHECK(add(*continued, holder));
    }
    BAUTA_CHECK(continued->prepare(keys_, &threads_));
    store::SegmentContent content = segment_content(gallery_, keys_, index, /*bulk=*/false);
    content.live = continued->live_positions();
    const Bytes bytes =
        store::make_segment(content, {continued->images().words()}, continued->sums());
    BAUTA_TRY(std::string file, folder_.write(bytes));
    return std::optional(store::Segment{index, false, std::move(file), bytes.size()});
  }

  // The block from its present segment, what has changed subtracted and added exactly. Nothing if
  // that cannot be done: no sound segment of this folding, or an original that is gone.
  Result<MaybeBlock> continue_block(uint32_t index, size_t folding,
                                    const std::vector<store::Holder>& held) {
    const auto row = std::find_if(set_.segments.begin(), set_.segments.end(),
                                  [&](const auto& segment) { return segment.block == index; });
    if (row == set_.segments.end()) return MaybeBlock();
    const auto opened = open_segment(folder_, gallery_, keys_, *row);
    if (!opened.ok() || !(*opened)->verify_sums().ok()) return MaybeBlock();
    match::Block block = to_block(keys_.parameters(), *opened);
    if (block.folding() != folding || !block.reopen()) return MaybeBlock();
    std::bitset<kDegree> unchanged;
    for (const store::Holder& holder : held)
      if (holder.generation <= set_.compacted) unchanged.set(holder.reference.position % kDegree);
    for (size_t j = 0; j < kDegree; ++j) {
      if (unchanged[j] && !block.contains(j)) return MaybeBlock();
      if (unchanged[j] || !block.contains(j)) continue;
      const auto retired = catalogue_.read_retired(
          gallery_, static_cast<uint32_t>(index * kDegree + j), set_.compacted);
      if (!retired.ok()) return MaybeBlock();
      BAUTA_TRY(const match::StoredReference original, parse(*retired));
      block.subtract(j, original.ciphertext);
    }
    for (const store::Holder& holder : held)
      if (holder.generation > set_.compacted) BAUTA_CHECK(add(block, holder));
    return MaybeBlock(std::move(block));
  }

  // Leaves a reference out that was erased in the meantime: its change comes after `until`.
  Status add(match::Block& block, const store::Holder& holder) {
    const auto bytes = catalogue_.read_original(gallery_, holder.reference.id);
    if (!bytes.ok() && bytes.error().code == ErrorCode::not_found) return {};
    if (!bytes.ok()) return bytes.error();
    BAUTA_TRY(const match::StoredReference original, parse(*bytes));
    block.add(holder.reference.position % kDegree, original.ciphertext);
    return {};
  }

  Result<match::StoredReference> parse(ByteView bytes) {
    BAUTA_TRY(match::StoredReference original,
              match::parse_stored_reference(keys_.parameters(), bytes));
    BAUTA_CHECK(ckks::check_key_id("reference", original.ciphertext.key_id, keys_.key_id()));
    return original;
  }

  store::Catalogue& catalogue_;
  const store::SegmentFolder& folder_;
  const store::Gallery& gallery_;
  const match::EvaluationKeys& keys_;
  ThreadPool& threads_;
  store::SegmentSet set_;
};

}  // namespace

Result<Compaction> compact(store::Catalogue& catalogue, const std::filesystem::path& directory,
                           const store::Gallery& gallery, const match::EvaluationKeys& keys,
                           ThreadPool& threads, const CompactionOptions& options) {
  const store::SegmentFolder folder(directory, gallery.id);
  BAUTA_TRY(const FileLock lock, folder.lock(options.wait_ms));
  return Compactor(catalogue, folder, gallery, keys, threads).run(options);
}

size_t stored_folding(const match::Parameters& parameters, std::span<const store::Holder> held) {
  const size_t last = held.back().reference.position % kDegree;
  if (last < kLargeBlock) return match::folding_for(parameters, last);
  return match::folding_for(parameters, std::min(last + kRoom, kDegree - 1));
}

store::SegmentContent segment_content(const store::Gallery& gallery,
                                      const match::EvaluationKeys& keys, uint32_t block,
                                      bool bulk) {
  store::SegmentContent content;
  content.parameters = keys.parameters().digest();
  content.key_id = keys.key_id().bytes;
  content.gallery = gallery.id;
  content.block = block;
  content.bulk = bulk;
  return content;
}

Result<std::shared_ptr<const store::MappedSegment>> open_segment(const store::SegmentFolder& folder,
                                                                 const store::Gallery& gallery,
                                                                 const match::EvaluationKeys& keys,
                                                                 const store::Segment& segment) {
  BAUTA_TRY(std::shared_ptr<const store::MappedSegment> mapped, folder.open(segment.file));
  const store::SegmentContent due = segment_content(gallery, keys, segment.block, segment.bulk);
  const store::SegmentContent& is = mapped->content();
  constexpr size_t kWordsPerCiphertext = 2 * kLimbs * kDegree;
  const size_t folding = mapped->images().size() / kWordsPerCiphertext;
  if (is.parameters != due.parameters || is.key_id != due.key_id || is.gallery != due.gallery ||
      is.block != due.block || is.bulk != due.bulk || !std::has_single_bit(folding) ||
      folding > keys.parameters().width() ||
      mapped->images().size() != folding * kWordsPerCiphertext ||
      mapped->sums().size() != (is.bulk ? 0 : mapped->images().size()))
    return make_error(ErrorCode::corrupt,
                      "the segment {} is not that of block {} of gallery {} under its key",
                      (folder.path() / segment.file).string(), segment.block, gallery.name);
  return mapped;
}

Result<std::shared_ptr<const store::MappedSegment>> open_sound_segment(
    const store::SegmentFolder& folder, const store::Gallery& gallery,
    const match::EvaluationKeys& keys, const store::Segment& segment) {
  auto opened = open_segment(folder, gallery, keys, segment);
  if (!opened.ok() && opened.error().code == ErrorCode::corrupt)
    return make_error(ErrorCode::corrupt, "{}; run 'bauta gallery repair {}' first",
                      opened.error().message, gallery.name);
  return opened;
}

match::Block to_block(const match::Parameters& parameters,
                      const std::shared_ptr<const store::MappedSegment>& segment) {
  std::bitset<kDegree> live;
  for (size_t j = 0; j < kDegree; ++j) live[j] = segment->is_live(j);
  match::TiledCiphertexts images(match::SharedWords{segment->images(), segment});
  if (segment->content().bulk) return match::Block(parameters, std::move(images), live);
  return match::Block(parameters, std::move(images), live, {segment->sums(), segment});
}

}  // namespace bauta::auth
