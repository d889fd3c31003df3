#include "services/auth/rewriting.h"

#include <algorithm>

#include "services/auth/auth_server.h"

namespace bauta::auth {
namespace {

using match::kDegree;

constexpr int64_t kLockWait_ms = 60'000;

// Of ascending positions, those in one block.
std::span<const uint32_t> positions_in(std::span<const uint32_t> positions, uint32_t block) {
  const auto first = std::ranges::lower_bound(positions, block * kDegree);
  const auto last = std::ranges::lower_bound(positions, (block + 1) * kDegree);
  return {first, last};
}

// The segment without what was erased; none if nobody is left in it.
Result<std::optional<store::Segment>> write_without(const store::SegmentFolder& folder,
                                                    const store::MappedSegment& segment,
                                                    const match::TiledCiphertexts& images,
                                                    std::span<const uint32_t> erased,
                                                    const RewriteBlock& rewrite_block) {
  store::SegmentContent content = segment.content();
  std::vector<uint32_t> coefficients;
  for (const uint32_t position : erased) {
    const auto j = static_cast<uint32_t>(position % kDegree);
    content.live[j / 8] = static_cast<uint8_t>(content.live[j / 8] & ~(1u << (j % 8)));
    coefficients.push_back(j);
  }
  if (std::ranges::all_of(content.live, [](uint8_t byte) { return byte == 0; }))
    return std::optional<store::Segment>();
  BAUTA_TRY(const match::TiledCiphertexts rewritten, rewrite_block(images, coefficients));
  const Bytes bytes = store::make_segment(content, {rewritten.words()}, {});
  BAUTA_TRY(std::string file, folder.write(bytes));
  return std::optional(store::Segment{content.block, true, std::move(file), bytes.size()});
}

}  // namespace

Result<Rewriting> rewrite(store::Catalogue& catalogue, const std::filesystem::path& directory,
                          const store::Gallery& gallery, const match::EvaluationKeys& keys,
                          const RewriteBlock& rewrite_block) {
  const store::SegmentFolder folder(directory, gallery.id);
  BAUTA_TRY(const FileLock lock, folder.lock(kLockWait_ms));
  BAUTA_TRY(const store::SegmentSet before, catalogue.segments(gallery));
  if (before.key_id != gallery.key_id)
    return make_error(ErrorCode::busy, "gallery {} was renewed to another key; try again",
                      gallery.name);
  BAUTA_TRY(const std::vector<uint32_t> retired, catalogue.retired_in_bulk(gallery));
  Rewriting done;
  store::SegmentSet set = before;
  for (const store::Segment& segment : before.segments) {
    const auto erased = positions_in(retired, segment.block);
    if (!segment.bulk || erased.empty()) continue;
    BAUTA_TRY(const auto opened, open_sound_segment(folder, gallery, keys, segment));
    const match::TiledCiphertexts images(match::SharedWords{opened->images(), opened});
    BAUTA_TRY(const auto written, write_without(folder, *opened, images, erased, rewrite_block));
    if (written) {
      BAUTA_CHECK(catalogue.rewrite_segment(gallery, set, *written, erased));
      ++done.rewritten;
    } else {
      BAUTA_CHECK(
          catalogue.replace_segments(gallery, set.version, set.compacted, {}, {&segment.block, 1}));
      ++done.dropped;
    }
    done.references += erased.size();
    BAUTA_TRY(set, catalogue.segments(gallery));
    BAUTA_CHECK(folder.remove_others(set.segments, /*keep_damaged=*/true));
  }
  // Also what an attempt before was interrupted in.
  BAUTA_CHECK(folder.remove_others(set.segments, /*keep_damaged=*/true));
  return done;
}

Result<Rewriting> AuthServer::rewrite(const std::string& name, const RewriteBlock& rewrite_block) {
  BAUTA_TRY(const Loaded gallery, find(name));
  BAUTA_TRY(const Rewriting done,
            auth::rewrite(catalogue_, directory_, gallery.row, *gallery.keys, rewrite_block));
  BAUTA_CHECK(catalogue_.finish_erasures());
  return done;
}

}  // namespace bauta::auth
