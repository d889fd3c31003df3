// The parsers that parsers_fuzz.cpp takes its inputs to, with what it needs to damage objects well.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace bauta::fuzz {

struct Parser {
  std::string name;
  Bytes valid;
  // What the parsed bytes serialise to, which must be the same bytes; nothing if they did not
  // parse. A parser of a format in which one content has several spellings gives the bytes back.
  std::function<std::optional<Bytes>(ByteView)> reserialize;
  // Makes the sizes and checksums outside the content right again.
  std::function<Bytes(Bytes)> reseal = [](Bytes object) { return object; };
};

std::vector<Parser> encrypted_object_parsers();
std::vector<Parser> file_parsers();

}  // namespace bauta::fuzz
