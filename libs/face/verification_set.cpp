#include "face/verification_set.h"

#include <charconv>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>

namespace bauta::face {
namespace {

constexpr size_t kFolds = 10;
constexpr uint8_t kLatestProtocol = 5;

// Python, Lib/pickletools.py.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kAppend = 'a',
  kAppends = 'e',
  kEmptyList = ']',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kProto = 0x80,
  kTuple2 = 0x86,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kBinBytes8 = 0x8e,
  kMemoize = 0x94,
  kFrame = 0x95,
};

Error damaged(std::string_view why) {
  return make_error(ErrorCode::corrupt, "this is no verification set that can be read: {}", why);
}

// A pickle is a program for a machine with a stack and a memo.
class Unpickler {
 public:
  explicit Unpickler(ByteView file) : reader_(file, "the verification set") {}

  Result<VerificationSet> run() {
    BAUTA_TRY(const uint8_t first, reader_.u8());
    BAUTA_TRY(const uint8_t protocol, reader_.u8());
    if (first != kProto || protocol < 2 || protocol > kLatestProtocol)
      return damaged("it is no pickle of protocol 2 to 5");
    while (true) {
      BAUTA_TRY(const uint8_t opcode, reader_.u8());
      if (opcode == kStop) break;
      BAUTA_CHECK(step(opcode));
    }
    BAUTA_CHECK(reader_.finish());
    if (stack_.size() != 1 || !std::holds_alternative<Pair>(stack_[0]))
      return damaged("it holds no pair of lists");
    return lists(std::get<Pair>(stack_[0]));
  }

 private:
  struct Mark {};
  using Scalar = std::variant<ByteView, bool>;
  using List = std::shared_ptr<std::vector<Scalar>>;
  struct Pair {
    List images, mated;
  };
  using Value = std::variant<Mark, ByteView, bool, List, Pair>;

  Status step(uint8_t opcode) {
    switch (opcode) {
      case kFrame:
        return skip_frame();
      case kMark:
        return push(Mark{});
      case kEmptyList:
        return push(std::make_shared<std::vector<Scalar>>());
      case kNewTrue:
        return push(true);
      case kNewFalse:
        return push(false);
      case kShortBinString:
      case kShortBinBytes:
        return push_bytes(reader_.u8());
      case kBinString:
      case kBinBytes:
        return push_bytes(reader_.u32());
      case kBinBytes8:
        return push_bytes(reader_.u64());
      case kBinPut:
        return put(reader_.u8());
      case kLongBinPut:
        return put(reader_.u32());
      case kMemoize:
        return put(Result<uint64_t>(memo_.size()));
      case kBinGet:
        return get(reader_.u8());
      case kLongBinGet:
        return get(reader_.u32());
      case kAppend:
        return append(1);
      case kAppends:
        return append_from_mark();
      case kTuple2:
        return pair();
      default:
        return damaged(fmt::format("opcode {:#04x} has no place in one", opcode));
    }
  }

  Status push(Value value) {
    stack_.push_back(std::move(value));
    return {};
  }
  template <typename Size>
  Status push_bytes(const Result<Size>& size) {
    if (!size.ok()) return size.error();
    if (*size > reader_.remaining()) return damaged("an image is cut off");
    BAUTA_TRY(const ByteView bytes, reader_.raw(static_cast<size_t>(*size)));
    return push(bytes);
  }
  Status skip_frame() {
    BAUTA_TRY(const uint64_t size, reader_.u64());
    return size <= reader_.remaining() ? Status() : Status(damaged("it is cut off"));
  }
  template <typename Number>
  Status put(const Result<Number>& number) {
    if (!number.ok()) return number.error();
    if (stack_.empty()) return damaged("its stack runs empty");
    memo_[*number] = stack_.back();
    return {};
  }
  template <typename Number>
  Status get(const Result<Number>& number) {
    if (!number.ok()) return number.error();
    const auto found = memo_.find(*number);
    if (found == memo_.end()) return damaged("its memo has a gap");
    return push(found->second);
  }
  Status append_from_mark() {
    size_t count = 0;
    while (count < stack_.size() &&
           !std::holds_alternative<Mark>(stack_[stack_.size() - 1 - count]))
      ++count;
    if (count == stack_.size()) return damaged("a mark is missing");
    stack_.erase(stack_.end() - static_cast<ptrdiff_t>(count) - 1);
    return append(count);
  }
  Status append(size_t count) {
    if (stack_.size() <= count) return damaged("its stack runs empty");
    const auto first = stack_.end() - static_cast<ptrdiff_t>(count);
    const List* list = std::get_if<List>(&*(first - 1));
    if (list == nullptr) return damaged("something is appended to what is no list");
    for (auto value = first; value != stack_.end(); ++value) {
      if (const auto* bytes = std::get_if<ByteView>(&*value))
        (*list)->push_back(*bytes);
      else if (const auto* truth = std::get_if<bool>(&*value))
        (*list)->push_back(*truth);
      else
        return damaged("a list holds what is neither an image nor a truth value");
    }
    stack_.erase(first, stack_.end());
    return {};
  }
  Status pair() {
    if (stack_.size() < 2) return damaged("its stack runs empty");
    const List* images = std::get_if<List>(&stack_[stack_.size() - 2]);
    const List* mated = std::get_if<List>(&stack_.back());
    if (images == nullptr || mated == nullptr) return damaged("a tuple holds what is no list");
    Pair made{*images, *mated};
    stack_.resize(stack_.size() - 2);
    return push(std::move(made));
  }

  static Result<VerificationSet> lists(const Pair& pair) {
    VerificationSet set;
    for (const Scalar& image : *pair.images) {
      if (!std::holds_alternative<ByteView>(image)) return damaged("an image is no bytes");
      set.images.push_back(std::get<ByteView>(image));
    }
    for (const Scalar& mated : *pair.mated) {
      if (!std::holds_alternative<bool>(mated)) return damaged("a truth value is none");
      set.mated.push_back(std::get<bool>(mated));
    }
    if (set.mated.empty() || set.images.size() != 2 * set.mated.size())
      return damaged(
          fmt::format("it has {} images for {} pairs", set.images.size(), set.mated.size()));
    return set;
  }

  ByteReader reader_;
  std::vector<Value> stack_;
  std::unordered_map<uint64_t, Value> memo_;
};

std::filesystem::path path_of(size_t image) {
  return fmt::format("{:06}", image);
}

}  // namespace

std::vector<ImagePair> VerificationSet::pairs() const {
  std::vector<ImagePair> pairs;
  for (size_t i = 0; i < mated.size(); ++i)
    pairs.push_back({path_of(2 * i), path_of(2 * i + 1), mated[i],
                     static_cast<int>(i * kFolds / mated.size())});
  return pairs;
}

Result<AlignedFace> VerificationSet::face(const std::filesystem::path& path) const {
  const std::string& name = path.native();
  size_t image = images.size();
  std::from_chars(name.data(), name.data() + name.size(), image);
  BAUTA_ASSERT(image < images.size());
  BAUTA_TRY(Image decoded, decode_image(images[image]));
  if (decoded.width != kAlignedSide || decoded.height != kAlignedSide)
    return make_error(ErrorCode::invalid_argument, "image {} has {}x{} pixels; {}x{} are needed",
                      image, decoded.width, decoded.height, kAlignedSide, kAlignedSide);
  return AlignedFace{std::move(decoded)};
}

Result<VerificationSet> parse_verification_set(ByteView file) {
  return Unpickler(file).run();
}

EmbeddedImages embed_set(const VerificationSet& set, std::span<const ImagePair> pairs,
                         const Engine& engine, ThreadPool& threads, const Progress& progress) {
  const std::vector<std::filesystem::path> paths = images_of({pairs.begin(), pairs.end()});
  std::vector<EmbeddedImage> embedded(paths.size());
  std::mutex mutex;  // guards what follows and the calls of progress
  size_t done = 0;
  threads.parallel_for(paths.size(), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      const auto embed = [&]() -> Result<Embedding> {
        BAUTA_TRY(const AlignedFace face, set.face(paths[i]));
        return engine.extract(face);
      };
      Result<Embedding> embedding = embed();
      if (embedding.ok())
        embedded[i].embedding = std::move(*embedding);
      else
        embedded[i].failure = embedding.error().message;
      const std::lock_guard lock(mutex);
      if (progress) progress(++done, paths.size());
    }
  });
  EmbeddedImages result;
  for (size_t i = 0; i < paths.size(); ++i) result.emplace(paths[i], std::move(embedded[i]));
  return result;
}

}  // namespace bauta::face
