// Every parser: on any bytes, on damaged valid objects, and on damaged ones whose checksum was made
// right again. The environment variable BAUTA_FUZZ_PARSERS, names with commas between them, limits
// it to some.
#include <algorithm>
#include <cstdlib>

#include "fuzz/parsers.h"

namespace bauta::fuzz {
namespace {

std::vector<Parser> chosen_parsers() {
  std::vector<Parser> all = encrypted_object_parsers();
  std::ranges::move(file_parsers(), std::back_inserter(all));
  const char* variable = std::getenv("BAUTA_FUZZ_PARSERS");
  if (variable == nullptr || *variable == '\0') return all;
  const std::string names = fmt::format(",{},", variable);
  const auto is_chosen = [&](const Parser& parser) {
    return names.find("," + parser.name + ",") != std::string::npos;
  };
  std::vector<Parser> chosen;
  std::ranges::copy_if(all, std::back_inserter(chosen), is_chosen);
  if (static_cast<size_t>(std::ranges::count(names, ',')) != chosen.size() + 1) {
    fmt::print(stderr, "BAUTA_FUZZ_PARSERS names a parser that there is not. There are:");
    for (const Parser& parser : all) fmt::print(stderr, " {}", parser.name);
    fmt::print(stderr, "\n");
    std::_Exit(2);  // the fuzzer would report an exit
  }
  return chosen;
}

const std::vector<Parser>& parsers() {
  static const std::vector<Parser> chosen = [] {
    std::vector<Parser> made = chosen_parsers();
    for (const Parser& parser : made)
      BAUTA_ASSERT(parser.reserialize(parser.valid) == parser.valid &&
                   parser.reseal(parser.valid) == parser.valid);
    return made;
  }();
  return chosen;
}

// Takes instructions of four bytes from the input: cut off, append, insert, erase, or overwrite,
// there most often near the front, where the lengths are.
Bytes damaged(const Bytes& valid, ByteView input) {
  Bytes object = valid;
  for (; input.size() >= 4; input = input.subspan(4)) {
    const uint8_t kind = input[0];
    const size_t place = input[1] | size_t{input[2]} << 8;
    if (object.empty() || kind == 1) {
      object.push_back(input[3]);
      continue;
    }
    const size_t at = (kind % 2 == 0 ? place % 160 : place * 7) % object.size();
    const auto there = object.begin() + static_cast<ptrdiff_t>(at);
    if (kind == 0)
      object.resize(place % (valid.size() + 1));
    else if (kind < 16)
      object.insert(there, input[3]);
    else if (kind < 32)
      object.erase(there);
    else
      *there = input[3];
  }
  return object;
}

void check(const Parser& parser, const Bytes& object) {
  const std::optional<Bytes> again = parser.reserialize(object);
  BAUTA_ASSERT(!again || *again == object);
}

}  // namespace
}  // namespace bauta::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size_bytes) {
  using namespace bauta;
  if (size_bytes < 1) return 0;
  const fuzz::Parser& parser = fuzz::parsers()[input[0] % fuzz::parsers().size()];
  const ByteView rest(input + 1, size_bytes - 1);
  const Bytes object = fuzz::damaged(parser.valid, rest);
  fuzz::check(parser, object);
  fuzz::check(parser, parser.reseal(object));
  fuzz::check(parser, Bytes(rest.begin(), rest.end()));
  return 0;
}
