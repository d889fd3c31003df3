// Compaction: bringing a gallery's segments up to the catalogue. It works from the catalogue and
// the files alone, beside whoever searches, and can be interrupted anywhere: until its last step,
// one transaction, the old segments count.
#pragma once

#include "base/thread_pool.h"
#include "match/gallery.h"
#include "store/backup.h"

namespace bauta::auth {

struct CompactionOptions {
  int64_t wait_ms = 0;  // for another process that compacts the same gallery
  bool repair = false;  // also lay out anew what is damaged and has its originals
  std::filesystem::path backup =
      {};  // with repair: where to look for damaged bulk blocks; or empty
};

struct Compaction {
  size_t written = 0, dropped = 0;  // segments
  // With repair: segments of bulk blocks that came from the backup, and those that are damaged
  // still.
  size_t recovered = 0;
  std::vector<store::Segment> lost;
};

// Writes the segments of blocks that have changed, each exactly as if it had never held anything
// else than what is live, and removes the files that they replace. Errors: busy; no_space and
// unavailable, with which nothing has changed; those of the catalogue.
Result<Compaction> compact(store::Catalogue& catalogue, const std::filesystem::path& directory,
                           const store::Gallery& gallery, const match::EvaluationKeys& keys,
                           ThreadPool& threads, const CompactionOptions& options = {});

// The folding that a segment with these references has. Once the next reference does not fit, all
// originals of the block are read again, and a search waits for it; so a large block is wide enough
// for those that come before the next compaction. Precondition: held is not empty, by position.
size_t stored_folding(const match::Parameters& parameters, std::span<const store::Holder> held);

// What the header of a segment of this gallery says beside its live positions.
store::SegmentContent segment_content(const store::Gallery& gallery,
                                      const match::EvaluationKeys& keys, uint32_t block, bool bulk);

// Opens and verifies a segment. Errors: corrupt also when it is of another gallery, block, key or
// parameter set; mismatch; not_found.
Result<std::shared_ptr<const store::MappedSegment>> open_segment(const store::SegmentFolder& folder,
                                                                 const store::Gallery& gallery,
                                                                 const match::EvaluationKeys& keys,
                                                                 const store::Segment& segment);

// The same; a corrupt one is an error that names the way out.
Result<std::shared_ptr<const store::MappedSegment>> open_sound_segment(
    const store::SegmentFolder& folder, const store::Gallery& gallery,
    const match::EvaluationKeys& keys, const store::Segment& segment);

// The matcher's block over a mapped segment.
match::Block to_block(const match::Parameters& parameters,
                      const std::shared_ptr<const store::MappedSegment>& segment);

}  // namespace bauta::auth
