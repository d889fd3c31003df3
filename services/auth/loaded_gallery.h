// A gallery as the server searches it: segments mapped from their files, and the references that no
// segment holds yet, the tail, laid out in memory. Derived from the catalogue and kept in step with
// it.
#pragma once

#include <map>

#include "services/auth/compaction.h"

namespace bauta::auth {

// Not thread-safe.
class LoadedGallery {
 public:
  // Maps what there is; damaged segments are set aside, and the rest is usable. What it is given
  // must outlive it. Errors: those of the catalogue.
  static Result<std::unique_ptr<LoadedGallery>> load(
      store::Catalogue& catalogue, const std::filesystem::path& directory,
      const store::Gallery& gallery, std::shared_ptr<const match::EvaluationKeys> keys,
      ThreadPool& threads);

  // Whether there have been changes up to this state of the catalogue that are not loaded.
  bool is_behind(const store::Gallery& now) const {
    return now.segments_version > segments_version_ || now.generation > generation_;
  }
  // Brings it up to the catalogue. After an error it is to be loaded anew.
  Status follow(const store::Gallery& now);

  match::Gallery& references() { return *references_; }
  // Whose reference each slot holds, or held last.
  std::span<const match::Pseudonym> persons() const { return persons_; }
  uint64_t generation() const { return generation_; }
  size_t mapped_bytes() const;

  // References in damaged segments.
  uint64_t not_compared() const { return unavailable_; }
  // Error unavailable, naming what is damaged and the way out, unless every reference can be
  // compared.
  Status check_complete() const;

 private:
  using Mapped = std::shared_ptr<const store::MappedSegment>;

  LoadedGallery(store::Catalogue& catalogue, const std::filesystem::path& directory,
                const store::Gallery& gallery, std::shared_ptr<const match::EvaluationKeys> keys,
                ThreadPool& threads)
      : catalogue_(catalogue),
        gallery_(gallery),
        folder_(directory, gallery.id),
        keys_(std::move(keys)),
        threads_(threads) {}

  Status map_segments();
  Status set_aside(const store::Segment& segment, const Error& damage);
  Status apply(const store::ReferenceView& view);
  Status read_persons(uint32_t block);
  void set_person(uint32_t slot, std::string_view subject);

  store::Catalogue& catalogue_;
  store::Gallery gallery_;
  store::SegmentFolder folder_;
  std::shared_ptr<const match::EvaluationKeys> keys_;
  ThreadPool& threads_;
  std::unique_ptr<match::Gallery> references_;
  std::vector<match::Pseudonym> persons_;  // by slot
  std::map<std::string, Mapped> mapped_;   // by file name
  uint64_t segments_version_ = 0;
  uint64_t generation_ = 0;   // of the catalogue, as far as it is loaded
  uint64_t unavailable_ = 0;  // references in damaged segments
  std::string damage_;        // the first of them
};

}  // namespace bauta::auth
