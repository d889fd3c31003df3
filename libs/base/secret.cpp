#include "base/secret.h"

#include <cerrno>
#include <cstring>

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

namespace bauta {

void wipe(std::span<uint8_t> bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

bool equal_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

namespace internal {
namespace {
size_t page_rounded(size_t size_bytes) {
  static const size_t page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t pages = (size_bytes + page_bytes - 1) / page_bytes;
  return (pages == 0 ? 1 : pages) * page_bytes;
}
}  // namespace

Result<void*> allocate_locked(size_t size_bytes) {
  const size_t rounded = page_rounded(size_bytes);
  void* address =
      mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED)
    return make_error(ErrorCode::unavailable, "no memory for a secret of {} bytes: {}", size_bytes,
                      std::strerror(errno));
  if (mlock(address, rounded) != 0) {
    const int reason = errno;
    munmap(address, rounded);
    return make_error(ErrorCode::unavailable,
                      "cannot lock {} bytes for a secret against swapping ({}); raise the limit "
                      "with 'ulimit -l' or LimitMEMLOCK=",
                      rounded, std::strerror(reason));
  }
  // Best effort where a kernel lacks an advice; the lock above is what is required.
  (void)madvise(address, rounded, MADV_DONTDUMP);
  (void)madvise(address, rounded, MADV_WIPEONFORK);
  return address;
}

void release_locked(void* address, size_t size_bytes) {
  const size_t rounded = page_rounded(size_bytes);
  OPENSSL_cleanse(address, rounded);
  munlock(address, rounded);
  munmap(address, rounded);
}

}  // namespace internal
}  // namespace bauta
