// Arrays in NumPy's .npy format (numpy.lib.format, versions 1 to 3): rows of floats, such as
// embeddings that were made elsewhere.
#pragma once

#include <filesystem>

#include "base/bytes.h"

namespace bauta {

struct NpyHeader {
  uint64_t rows = 0, columns = 0;
  size_t value_bytes = 0;   // 4: f4, 8: f8
  size_t offset_bytes = 0;  // where the values begin
};

// Reads the header from the beginning of a file of file_bytes. Errors, naming `what`: corrupt, not
// .npy or not whole; invalid_argument, an array that is not two-dimensional, of little-endian f4 or
// f8, in C order.
Result<NpyHeader> parse_npy_header(ByteView beginning, uint64_t file_bytes, std::string_view what);

// No longer header is accepted; NumPy's have some hundred bytes.
inline constexpr size_t kMaxNpyHeaderBytes = 4096;

class NpyFile {
 public:
  // Errors: those of parse_npy_header; not_found; unavailable.
  static Result<NpyFile> open(const std::filesystem::path& path);
  NpyFile(NpyFile&& other) noexcept
      : path_(std::move(other.path_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        header_(other.header_) {}
  NpyFile& operator=(NpyFile&&) = delete;
  ~NpyFile();

  uint64_t rows() const { return header_.rows; }
  uint64_t columns() const { return header_.columns; }

  // Rows first to first + count - 1, row after row; f8 is rounded. Precondition: they exist.
  // Error unavailable.
  Result<std::vector<float>> read(uint64_t first, uint64_t count) const;

 private:
  NpyFile(std::filesystem::path path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  std::filesystem::path path_;
  int descriptor_ = -1;
  NpyHeader header_;
};

}  // namespace bauta
