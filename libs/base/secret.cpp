#include "base/secret.h"

#include <cerrno>
#include <cstring>

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace bauta {

void wipe(std::span<uint8_t> bytes) {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

bool equal_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Status harden_process() {
  const struct rlimit no_core = {0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
    return make_error(ErrorCode::unavailable,
                      "cannot keep this process from being dumped or traced: {}",
                      std::strerror(errno));
  return {};
}

namespace internal {
namespace {

constexpr size_t kAlignment_bytes = 64;

constexpr size_t rounded_up(size_t size_bytes, size_t unit_bytes) {
  return (size_bytes + unit_bytes - 1) / unit_bytes * unit_bytes;
}

// A mapping is: guard page, locked pages with the secret at their end, guard page.
struct Layout {
  explicit Layout(size_t size_bytes)
      : page_bytes(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
        locked_bytes(rounded_up(size_bytes == 0 ? 1 : size_bytes, page_bytes)),
        mapped_bytes(locked_bytes + 2 * page_bytes),
        secret_offset(page_bytes + locked_bytes - rounded_up(size_bytes, kAlignment_bytes)) {}

  size_t page_bytes;
  size_t locked_bytes;
  size_t mapped_bytes;
  size_t secret_offset;  // from the start of the mapping
};

}  // namespace

Result<void*> allocate_locked(size_t size_bytes) {
  const Layout layout(size_bytes);
  void* mapping = mmap(nullptr, layout.mapped_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return make_error(ErrorCode::unavailable, "no memory for a secret of {} bytes: {}", size_bytes,
                      std::strerror(errno));
  uint8_t* pages = static_cast<uint8_t*>(mapping) + layout.page_bytes;
  if (mprotect(pages, layout.locked_bytes, PROT_READ | PROT_WRITE) != 0 ||
      mlock(pages, layout.locked_bytes) != 0) {
    const int reason = errno;
    munmap(mapping, layout.mapped_bytes);
    return make_error(ErrorCode::unavailable,
                      "cannot lock {} bytes for a secret against swapping ({}); raise the limit "
                      "with 'ulimit -l' or LimitMEMLOCK=",
                      layout.locked_bytes, std::strerror(reason));
  }
  // Best effort where a kernel lacks an advice; the lock above is what is required.
  (void)madvise(pages, layout.locked_bytes, MADV_DONTDUMP);
  (void)madvise(pages, layout.locked_bytes, MADV_WIPEONFORK);
  return static_cast<uint8_t*>(mapping) + layout.secret_offset;
}

void release_locked(void* address, size_t size_bytes) {
  const Layout layout(size_bytes);
  uint8_t* mapping = static_cast<uint8_t*>(address) - layout.secret_offset;
  OPENSSL_cleanse(mapping + layout.page_bytes, layout.locked_bytes);
  munmap(mapping, layout.mapped_bytes);
}

}  // namespace internal
}  // namespace bauta
