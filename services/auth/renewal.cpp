#include "services/auth/renewal.h"

#include <deque>
#include <map>

#include "services/auth/compaction.h"

namespace bauta::auth {
namespace {

using match::kDegree;

constexpr int64_t kLockWait_ms = 60'000;
// For references that are enrolled at the very moment of the change-over.
constexpr int kMaxAttempts = 100;
// What the first search after the change-over may find that is in no segment yet, and how often
// segments are written again to come to that.
constexpr uint64_t kMaxTail = 64;
constexpr int kMaxRounds = 10;
constexpr size_t kAddedAtOnce = 128;
// Removed originals between two times that the log is emptied.
constexpr int kBatchesPerLog = 4;

class Renewer {
 public:
  Renewer(store::Catalogue& catalogue, const std::filesystem::path& directory,
          const store::Gallery& gallery, const std::string& key_id,
          const match::EvaluationKeys& keys, const match::EvaluationKeys& new_keys,
          const match::Renewal& renewal, ThreadPool& threads, const RenewalOptions& options)
      : catalogue_(catalogue),
        folder_(directory, gallery.id),
        gallery_(gallery),
        key_id_(key_id),
        keys_(keys),
        new_keys_(new_keys),
        renewal_(renewal),
        threads_(threads),
        options_(options) {}

  Result<RenewalCounts> run() {
    BAUTA_CHECK(catalogue_.begin_renewal(gallery_, key_id_));
    BAUTA_TRY(const store::RenewalProgress before, catalogue_.renewal_progress(gallery_));
    done_ = before.renewed;
    BAUTA_CHECK(renew_originals());
    // From here on nobody else writes segments: blocks change their key together.
    BAUTA_TRY(const FileLock lock, folder_.lock(kLockWait_ms));
    BAUTA_TRY(uint64_t until, catalogue_.generation(gallery_));
    BAUTA_TRY(const store::SegmentSet set, catalogue_.segments(gallery_));
    BAUTA_CHECK(renew_originals());
    BAUTA_CHECK(write_segments(set, until));
    BAUTA_CHECK(follow_changes(until));
    std::vector<store::Segment> segments;
    for (const auto& [block, segment] : written_) segments.push_back(segment);
    counts_.segments = segments.size();
    for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
      BAUTA_TRY(const bool changed,
                catalogue_.finish_renewal(gallery_, set.version, until, segments));
      if (changed) return counts_;
      BAUTA_CHECK(renew_originals());
    }
    return make_error(ErrorCode::busy, "gallery {} changes all the time; try again", gallery_.name);
  }

 private:
  Status check_stop() const {
    if (!options_.stop.stop_requested()) return {};
    return make_error(ErrorCode::unavailable,
                      "the renewal of gallery {} was interrupted; it goes on where it was",
                      gallery_.name);
  }
  void advance(uint64_t references) { options_.progress(done_ += references); }

  // All that have no second one yet.
  Status renew_originals() {
    for (int64_t position = -1;;) {
      BAUTA_CHECK(check_stop());
      BAUTA_TRY(std::vector<store::Original> originals,
                catalogue_.originals_to_renew(gallery_, position));
      if (originals.empty()) return {};
      std::vector<Status> statuses(originals.size());
      threads_.parallel_for(originals.size(), [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) statuses[i] = renew_original(originals[i].bytes);
      });
      for (const Status& status : statuses) BAUTA_CHECK(status);
      BAUTA_CHECK(catalogue_.put_renewed(gallery_, key_id_, originals));
      position = originals.back().position;
      counts_.originals += originals.size();
      advance(originals.size());
    }
  }

  Status renew_original(Bytes& bytes) const {
    BAUTA_TRY(const match::StoredReference former,
              match::parse_stored_reference(keys_.parameters(), bytes));
    BAUTA_TRY(const match::StoredReference renewed, renewal_.renew(former));
    bytes = match::serialize_stored_reference(new_keys_.parameters(), renewed);
    return {};
  }

  Status write_segments(const store::SegmentSet& set, uint64_t until) {
    for (const store::Segment& segment : set.segments) {
      if (!segment.bulk) continue;
      BAUTA_CHECK(check_stop());
      BAUTA_TRY(written_[segment.block], renew_segment(segment));
    }
    BAUTA_TRY(const uint32_t end, catalogue_.end_of_positions(gallery_));
    for (uint32_t block = 0; block * kDegree < end; ++block)
      if (!written_.contains(block)) BAUTA_CHECK(lay_out(block, until));
    return {};
  }

  // Writing the segments takes minutes. What has changed since is written again, so that the first
  // search after the change-over does not wait until all of that is laid out.
  Status follow_changes(uint64_t& until) {
    for (int round = 0; round < kMaxRounds; ++round) {
      BAUTA_TRY(const uint64_t now, catalogue_.generation(gallery_));
      if (now - until <= kMaxTail) return {};
      BAUTA_CHECK(renew_originals());
      BAUTA_TRY(const std::vector<uint32_t> changed, catalogue_.changed_blocks(gallery_, until));
      for (const uint32_t block : changed) BAUTA_CHECK(lay_out(block, now));
      until = now;
    }
    return {};
  }

  // A block that was made whole is its own original.
  Result<store::Segment> renew_segment(const store::Segment& segment) {
    BAUTA_TRY(const auto opened, open_sound_segment(folder_, gallery_, keys_, segment));
    const match::TiledCiphertexts images(match::SharedWords{opened->images(), opened});
    const match::TiledCiphertexts renewed = renewal_.renew(images, &threads_);
    store::SegmentContent content =
        segment_content(gallery_, new_keys_, segment.block, /*bulk=*/true);
    content.live = opened->content().live;
    BAUTA_TRY(const std::vector<store::Holder> held,
              catalogue_.read_block(gallery_, segment.block, INT64_MAX));
    counts_.imported += held.size();
    advance(held.size());
    return write(segment.block, true, store::make_segment(content, {renewed.words()}, {}));
  }

  // The block of what was live at generation `until`; none if that is nothing.
  Status lay_out(uint32_t index, uint64_t until) {
    BAUTA_CHECK(check_stop());
    written_.erase(index);
    BAUTA_TRY(const std::vector<store::Holder> held, catalogue_.read_block(gallery_, index, until));
    if (held.empty()) return {};
    const match::Parameters& parameters = new_keys_.parameters();
    match::Block block(parameters, stored_folding(parameters, held));
    for (size_t first = 0; first < held.size(); first += kAddedAtOnce)
      BAUTA_CHECK(
          add(block, std::span(held).subspan(first, std::min(kAddedAtOnce, held.size() - first))));
    BAUTA_CHECK(block.prepare(new_keys_, &threads_));
    store::SegmentContent content = segment_content(gallery_, new_keys_, index, /*bulk=*/false);
    content.live = block.live_positions();
    BAUTA_TRY(
        written_[index],
        write(index, false, store::make_segment(content, {block.images().words()}, block.sums())));
    return {};
  }

  Status add(match::Block& block, std::span<const store::Holder> held) const {
    std::deque<match::StoredReference> originals;
    std::vector<match::Block::Placed> placed;
    for (const store::Holder& holder : held) {
      const auto bytes = catalogue_.read_renewed(gallery_, holder.reference.id);
      if (!bytes.ok() && bytes.error().code == ErrorCode::not_found) continue;  // erased meanwhile
      if (!bytes.ok()) return bytes.error();
      BAUTA_TRY(match::StoredReference original,
                match::parse_stored_reference(new_keys_.parameters(), *bytes));
      originals.push_back(std::move(original));
      placed.push_back({holder.reference.position % kDegree, &originals.back().ciphertext});
    }
    block.add(placed, &threads_);
    return {};
  }

  Result<store::Segment> write(uint32_t block, bool bulk, const Bytes& bytes) const {
    BAUTA_TRY(std::string file, folder_.write(bytes));
    return store::Segment{block, bulk, std::move(file), bytes.size()};
  }

  store::Catalogue& catalogue_;
  const store::SegmentFolder folder_;
  const store::Gallery& gallery_;
  const std::string& key_id_;
  const match::EvaluationKeys& keys_;
  const match::EvaluationKeys& new_keys_;
  const match::Renewal& renewal_;
  ThreadPool& threads_;
  const RenewalOptions& options_;
  std::map<uint32_t, store::Segment> written_;  // by block
  uint64_t done_ = 0;
  RenewalCounts counts_;
};

}  // namespace

Result<RenewalCounts> renew(store::Catalogue& catalogue, const std::filesystem::path& directory,
                            const store::Gallery& gallery, const std::string& key_id,
                            const match::EvaluationKeys& keys,
                            const match::EvaluationKeys& new_keys, const match::Renewal& renewal,
                            ThreadPool& threads, const RenewalOptions& options) {
  return Renewer(catalogue, directory, gallery, key_id, keys, new_keys, renewal, threads, options)
      .run();
}

Status remove_former(store::Catalogue& catalogue, const std::filesystem::path& directory,
                     const store::Gallery& gallery) {
  {
    const store::SegmentFolder folder(directory, gallery.id);
    BAUTA_TRY(const FileLock lock, folder.lock(kLockWait_ms));
    BAUTA_TRY(const store::SegmentSet set, catalogue.segments(gallery));
    BAUTA_CHECK(folder.remove_others(set.segments, /*keep_damaged=*/false));
  }
  for (int batch = 1;; ++batch) {
    BAUTA_TRY(const bool more, catalogue.remove_former(gallery));
    if (!more || batch % kBatchesPerLog == 0) BAUTA_CHECK(catalogue.finish_erasures());
    if (!more) return {};
  }
}

}  // namespace bauta::auth
