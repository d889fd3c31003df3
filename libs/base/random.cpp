#include "base/random.h"

#include <openssl/rand.h>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bauta {

void random_bytes(std::span<uint8_t> out) {
  while (!out.empty()) {
    const size_t chunk = out.size() < (1u << 20) ? out.size() : (1u << 20);
    BAUTA_ASSERT(RAND_bytes(out.data(), static_cast<int>(chunk)) == 1);
    out = out.subspan(chunk);
  }
}

std::string random_hex(size_t count) {
  Bytes random(count);
  random_bytes(random);
  std::string text = to_hex(random);
  wipe(random);
  return text;
}

uint64_t random_below(uint64_t bound) {
  BAUTA_ASSERT(bound > 0);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  for (;;) {
    uint64_t value = 0;
    random_bytes({reinterpret_cast<uint8_t*>(&value), sizeof value});
    if (value < limit) return value % bound;
  }
}

}  // namespace bauta
