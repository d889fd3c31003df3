// Marks for constant-time tests (bauta_constant_time_test): under valgrind, poisoned bytes count as
// uninitialised, and a branch or an address that depends on one is reported. Only for such
// programs.
#pragma once

#include <span>

#include <valgrind/memcheck.h>

namespace bauta {

template <typename Element>
void poison(std::span<Element> secret) {
  (void)VALGRIND_MAKE_MEM_UNDEFINED(secret.data(), secret.size_bytes());
}

// What becomes public, as a ciphertext does.
template <typename Element>
void unpoison(std::span<Element> published) {
  (void)VALGRIND_MAKE_MEM_DEFINED(published.data(), published.size_bytes());
}

}  // namespace bauta
