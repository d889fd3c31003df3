// The verification sets in common use for face networks (lfw.bin, agedb_30.bin, calfw.bin,
// cplfw.bin, cfp_fp.bin, ...): a Python pickle of a list of image files and a list of truth values.
#pragma once

#include <vector>

#include "face/align.h"
#include "face/evaluation.h"

namespace bauta::face {

inline constexpr size_t kMaxVerificationSet_bytes = size_t{512} << 20;

// Images 2 i and 2 i + 1 are pair i.
struct VerificationSet {
  std::vector<ByteView> images;  // JPEG or PNG files, parts of the bytes that were parsed
  std::vector<bool> mated;

  // In ten folds, one after the other. The paths are numbers of images.
  std::vector<ImagePair> pairs() const;
  // Of a path in pairs(). Errors: as decode_image's; invalid_argument for an image that is not
  // kAlignedSide x kAlignedSide.
  Result<AlignedFace> face(const std::filesystem::path& path) const;
};

// Nothing is executed: of the pickle protocols 2 to 5 only what makes lists of bytes and truth
// values is understood. Error corrupt for everything else, and for lists that do not fit each
// other.
Result<VerificationSet> parse_verification_set(ByteView file);

// As embed_images, of faces that are aligned already.
EmbeddedImages embed_set(const VerificationSet& set, std::span<const ImagePair> pairs,
                         const Engine& engine, ThreadPool& threads, const Progress& progress = {});

}  // namespace bauta::face
