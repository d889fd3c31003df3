// Fresh random bytes from OpenSSL's DRBG. Nothing here can be seeded; deterministic expansion from
// a seed is ring/sampler.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace bauta {

// Fills `out`. Stops the process if the generator fails: there is no safe way to go on.
void random_bytes(std::span<uint8_t> out);

// The hexadecimal digits of that many fresh random bytes: an id or a token.
std::string random_hex(size_t count);

// Uniform in [0, bound); bound > 0. By rejection, so without bias.
uint64_t random_below(uint64_t bound);

}  // namespace bauta
