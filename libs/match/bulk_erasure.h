// Taking references out of a block that was made whole and has no originals, by who can decrypt it
// (docs/formats/gallery.md, Rewriting). Plain numbers, no key.
#pragma once

#include <span>
#include <vector>

#include "match/template_codec.h"

namespace bauta::match {

// Reads some templates out of the width() polynomials of a block, and takes them out of these. The
// polynomials may come one at a time, so that no more than the templates is held.
class BulkErasure {
 public:
  // As many references as it is given at once, so that 4 MiB of locked memory are enough.
  static size_t max_references(const Parameters& parameters);

  // coefficients: of the references, below kDegree, at most max_references(). Error `unavailable`
  // when memory cannot be locked.
  static Result<BulkErasure> create(const Parameters& parameters,
                                    std::span<const uint32_t> coefficients);

  // First every polynomial u < width() once: its N coefficients, as BulkBlock::encode made them or
  // with the noise of an encryption.
  void read(size_t u, std::span<const int32_t> polynomial);
  // Then the references are known to the nearest integer,
  void finish();
  // and are taken out. What is left holds nothing of them: the noise does not depend on them. Error
  // `corrupt`: the rest is no sum of templates.
  Status remove(size_t u, std::span<int32_t> polynomial) const;

 private:
  explicit BulkErasure(const Parameters& parameters) : parameters_(parameters) {}

  // Where entry t of a reference stands in polynomial u, and its sign there.
  struct Place {
    size_t coefficient;
    int64_t sign;
  };
  Place place(size_t reference, size_t entry, size_t u) const;

  Parameters parameters_;
  std::vector<uint32_t> coefficients_;
  SecretArray<int64_t> entries_;  // [reference][entry]
};

}  // namespace bauta::match
