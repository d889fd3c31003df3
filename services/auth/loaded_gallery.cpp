#include "services/auth/loaded_gallery.h"

#include "services/ticket.h"

namespace bauta::auth {
namespace {

// For another process that replaces segments just now.
constexpr int64_t kLockWait_ms = 10'000;
constexpr int kMaxAttempts = 10;

}  // namespace

Result<std::unique_ptr<LoadedGallery>> LoadedGallery::load(
    store::Catalogue& catalogue, const std::filesystem::path& directory,
    const store::Gallery& gallery, std::shared_ptr<const match::EvaluationKeys> keys,
    ThreadPool& threads) {
  std::unique_ptr<LoadedGallery> loaded(
      new LoadedGallery(catalogue, directory, gallery, std::move(keys), threads));
  BAUTA_CHECK(loaded->map_segments());
  BAUTA_CHECK(loaded->follow(gallery));
  return loaded;
}

Status LoadedGallery::follow(const store::Gallery& now) {
  if (now.segments_version > segments_version_) BAUTA_CHECK(map_segments());
  if (now.generation <= generation_) return {};
  // As wide as needed from the start, rather than laid out anew at every doubling.
  BAUTA_TRY(const uint32_t end, catalogue_.end_of_positions(gallery_));
  references_->reserve(end);
  BAUTA_TRY(generation_, catalogue_.for_each_reference(
                             gallery_, generation_,
                             [this](const store::ReferenceView& view) { return apply(view); }));
  return {};
}

Status LoadedGallery::apply(const store::ReferenceView& view) {
  references_->retire(view.position);  // whoever was there before
  if (!view.live) return {};
  BAUTA_TRY(const match::StoredReference reference,
            match::parse_stored_reference(keys_->parameters(), view.original));
  set_person(view.position, view.subject);
  return references_->insert(view.position, reference);
}

void LoadedGallery::set_person(uint32_t slot, std::string_view subject) {
  if (slot >= persons_.size()) persons_.resize((slot / match::kDegree + 1) * match::kDegree);
  persons_[slot] = person_of(subject_digest(gallery_.name, std::string(subject)));
}

Status LoadedGallery::read_persons(uint32_t block) {
  return catalogue_.for_each_name(gallery_, block, [this](uint32_t slot, std::string_view subject) {
    set_person(slot, subject);
  });
}

Status LoadedGallery::map_segments() {
  const auto read_original = [this](uint64_t slot) -> Result<match::StoredReference> {
    BAUTA_TRY(const store::Holder holder,
              catalogue_.find_holder(gallery_, static_cast<uint32_t>(slot)));
    BAUTA_TRY(const Bytes original, catalogue_.read_original(gallery_, holder.reference.id));
    return match::parse_stored_reference(keys_->parameters(), original);
  };
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    BAUTA_TRY(const store::SegmentSet set, catalogue_.segments(gallery_));
    if (set.key_id != gallery_.key_id)
      return make_error(ErrorCode::busy, "gallery {} was renewed to another key; try again",
                        gallery_.name);
    std::vector<Result<Mapped>> opened(set.segments.size(), Mapped());
    threads_.parallel_for(set.segments.size(), [&](size_t begin, size_t end) {
      for (size_t i = begin; i < end; ++i) {
        const auto known = mapped_.find(set.segments[i].file);
        opened[i] = known != mapped_.end()
                        ? Result<Mapped>(known->second)
                        : open_segment(folder_, gallery_, *keys_, set.segments[i]);
      }
    });
    // Another process may have replaced the files while they were opened.
    BAUTA_TRY(const store::SegmentSet after, catalogue_.segments(gallery_));
    if (after.version != set.version) continue;  // changed by every renewal too

    references_ = std::make_unique<match::Gallery>(keys_, read_original, &threads_);
    const std::map<std::string, Mapped> before = std::move(mapped_);
    mapped_.clear();
    unavailable_ = 0;
    for (size_t i = 0; i < set.segments.size(); ++i) {
      const store::Segment& segment = set.segments[i];
      // Full blocks take nothing more, so their sums are never needed here.
      Status sound = opened[i].ok() ? Status() : Status(opened[i].error());
      if (sound.ok() && !segment.bulk) {
        const auto& live = (*opened[i])->content().live;
        if (std::any_of(live.begin(), live.end(), [](uint8_t byte) { return byte != 0xff; }))
          sound = (*opened[i])->verify_sums();
      }
      if (!sound.ok()) {
        BAUTA_CHECK(set_aside(segment, sound.error()));
        continue;
      }
      if (!before.contains(segment.file)) BAUTA_CHECK(read_persons(segment.block));
      mapped_[segment.file] = *opened[i];
      references_->place(segment.block, to_block(keys_->parameters(), *opened[i]));
    }
    BAUTA_TRY(const std::vector<uint32_t> retired, catalogue_.retired_in_bulk(gallery_));
    for (const uint32_t position : retired) references_->retire(position);
    segments_version_ = set.version;
    generation_ = set.compacted;
    return {};
  }
  return make_error(ErrorCode::busy,
                    "the segments of gallery {} are being replaced all the time; try again",
                    gallery_.name);
}

Status LoadedGallery::set_aside(const store::Segment& segment, const Error& damage) {
  BAUTA_TRY(const std::vector<store::Holder> held,
            catalogue_.read_block(gallery_, segment.block, INT64_MAX));
  unavailable_ += held.size();
  damage_ = damage.message;
  // For whoever looks after the server; a search that accepts somebody says it to its edge alone.
  fmt::print(stderr,
             "bauta: {} references of gallery {} cannot be compared: {}; run 'bauta gallery repair "
             "{}'\n",
             held.size(), gallery_.name, damage.message, gallery_.name);
  if (damage.code != ErrorCode::corrupt) return {};
  // Under the lock and looked at again: whoever repairs it writes a file of the same name.
  BAUTA_TRY(const FileLock lock, folder_.lock(kLockWait_ms));
  const auto again = open_segment(folder_, gallery_, *keys_, segment);
  if (!again.ok() || !(*again)->verify_sums().ok()) folder_.quarantine(segment.file);
  return {};
}

Status LoadedGallery::check_complete() const {
  if (unavailable_ == 0) return {};
  return make_error(ErrorCode::unavailable,
                    "{} references of gallery {} cannot be compared: {}; run 'bauta gallery repair "
                    "{}'",
                    unavailable_, gallery_.name, damage_, gallery_.name);
}

size_t LoadedGallery::mapped_bytes() const {
  size_t bytes = 0;
  for (const auto& [name, segment] : mapped_) bytes += segment->images().size_bytes();
  return bytes;
}

}  // namespace bauta::auth
