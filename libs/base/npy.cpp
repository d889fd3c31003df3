#include "base/npy.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secret.h"

namespace bauta {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

// The header is a Python dictionary of three known entries; nothing else is understood.
class DictionaryReader {
 public:
  explicit DictionaryReader(std::string_view text) : text_(text) {}

  bool take(char symbol) {
    skip_blanks();
    if (text_.empty() || text_.front() != symbol) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }
  // A string without escapes.
  bool take_string(std::string_view& value) {
    if (!take('\'')) return false;
    const size_t end = text_.find('\'');
    if (end == std::string_view::npos) return false;
    value = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return true;
  }
  bool take_number(uint64_t& value) {
    skip_blanks();
    const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
    if (error != std::errc()) return false;
    text_.remove_prefix(static_cast<size_t>(end - text_.data()));
    return true;
  }
  bool at_end() {
    skip_blanks();
    return text_.empty();
  }

 private:
  void skip_blanks() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
      text_.remove_prefix(1);
  }
  std::string_view text_;
};

struct Dictionary {
  std::string_view type, order;
  std::vector<uint64_t> shape;
};

bool read_shape(DictionaryReader& reader, std::vector<uint64_t>& shape) {
  if (!reader.take('(')) return false;
  while (!reader.take(')')) {
    uint64_t extent = 0;
    if (shape.size() == 32 || !reader.take_number(extent)) return false;
    shape.push_back(extent);
    if (reader.take(',')) continue;
    if (!reader.take(')')) return false;
    break;
  }
  return true;
}

bool read_dictionary(std::string_view text, Dictionary& dictionary) {
  DictionaryReader reader(text);
  if (!reader.take('{')) return false;
  while (!reader.take('}')) {
    std::string_view key;
    if (!reader.take_string(key) || !reader.take(':')) return false;
    if (key == "descr") {
      if (!reader.take_string(dictionary.type)) return false;
    } else if (key == "fortran_order") {
      dictionary.order = reader.take_word("False")  ? "C"
                         : reader.take_word("True") ? "Fortran"
                                                    : "";
    } else if (key != "shape" || !read_shape(reader, dictionary.shape)) {
      return false;
    }
    if (!reader.take(',') && !reader.take('}')) return false;
    if (reader.at_end()) break;
  }
  return reader.at_end() && !dictionary.order.empty() && !dictionary.type.empty();
}

Error system_error(const char* action, const std::filesystem::path& path, int reason) {
  return make_error(reason == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                    "cannot {} {}: {}", action, path.string(), std::strerror(reason));
}

}  // namespace

Result<NpyHeader> parse_npy_header(ByteView beginning, uint64_t file_bytes, std::string_view what) {
  const auto broken = [&](std::string_view why) {
    return make_error(ErrorCode::corrupt, "{} is no .npy file that can be read: {}", what, why);
  };
  ByteReader reader(beginning, what);
  const auto magic = reader.raw(kMagic.size());
  if (!magic.ok() || as_text(*magic) != kMagic) return broken("it does not begin as one");
  BAUTA_TRY(const uint8_t major, reader.u8());
  BAUTA_TRY(const uint8_t minor, reader.u8());
  if (major < 1 || major > 3 || minor != 0)
    return broken(fmt::format("its version is {}.{}", major, minor));
  size_t length = 0;
  if (major == 1) {
    BAUTA_TRY(length, reader.u16());
  } else {
    BAUTA_TRY(length, reader.u32());
  }
  if (length > reader.remaining()) return broken("its header is too long or cut off");
  BAUTA_TRY(const ByteView text, reader.raw(length));
  Dictionary dictionary;
  if (!read_dictionary(as_text(text), dictionary)) return broken("its header is not understood");

  NpyHeader header;
  header.offset_bytes = beginning.size() - reader.remaining();
  header.value_bytes = dictionary.type == "<f4" ? 4 : dictionary.type == "<f8" ? 8 : 0;
  if (header.value_bytes == 0)
    return make_error(ErrorCode::invalid_argument,
                      "{} holds values of type '{}'; save it as float32 ('<f4') or float64 ('<f8')",
                      what, dictionary.type);
  if (dictionary.order != "C")
    return make_error(ErrorCode::invalid_argument,
                      "{} is in Fortran order; save numpy.ascontiguousarray of it", what);
  if (dictionary.shape.size() != 2)
    return make_error(ErrorCode::invalid_argument,
                      "{} has {} dimensions; two are needed, one row for each embedding", what,
                      dictionary.shape.size());
  header.rows = dictionary.shape[0];
  header.columns = dictionary.shape[1];
  uint64_t values = 0, values_bytes = 0;
  if (__builtin_mul_overflow(header.rows, header.columns, &values) ||
      __builtin_mul_overflow(values, header.value_bytes, &values_bytes) ||
      values_bytes != file_bytes - header.offset_bytes)
    return broken(fmt::format("{} rows of {} values do not fit its size of {} bytes", header.rows,
                              header.columns, file_bytes));
  return header;
}

Result<NpyFile> NpyFile::open(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return system_error("open", path, errno);
  NpyFile file(path, descriptor);
  struct stat status {};
  if (fstat(descriptor, &status) != 0) return system_error("examine", path, errno);
  Bytes beginning(kMaxNpyHeaderBytes);
  const ssize_t count = pread(descriptor, beginning.data(), beginning.size(), 0);
  if (count < 0) return system_error("read", path, errno);
  beginning.resize(static_cast<size_t>(count));
  BAUTA_TRY(file.header_,
            parse_npy_header(beginning, static_cast<uint64_t>(status.st_size), path.string()));
  return file;
}

NpyFile::~NpyFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<std::vector<float>> NpyFile::read(uint64_t first, uint64_t count) const {
  BAUTA_ASSERT(first <= rows() && count <= rows() - first);
  const uint64_t row_bytes = columns() * header_.value_bytes;
  Bytes bytes(count * row_bytes);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = pread(descriptor_, bytes.data() + done, bytes.size() - done,
                              static_cast<off_t>(header_.offset_bytes + first * row_bytes + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read", path_, errno);
    if (got == 0)
      return make_error(ErrorCode::unavailable, "{} became shorter while it was read",
                        path_.string());
    done += static_cast<size_t>(got);
  }
  std::vector<float> values(count * columns());
  if (header_.value_bytes == sizeof(float)) {
    std::memcpy(values.data(), bytes.data(), bytes.size());
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      double value = 0;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      values[i] = static_cast<float>(value);
    }
  }
  wipe(bytes);  // they are faces
  return values;
}

}  // namespace bauta
