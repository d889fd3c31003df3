#include "ring/word_storage.h"

#include <cstdlib>

#include <sys/mman.h>

#include "base/result.h"

namespace bauta::ring {
namespace {
constexpr size_t kCacheLineBytes = 64;
constexpr size_t kHugePageBytes = size_t{2} << 20;
}  // namespace

WordStorage::WordStorage(size_t count) : count_(count) {
  if (count == 0) return;
  const size_t size_bytes = count * sizeof(uint32_t);
  const size_t alignment = size_bytes >= kHugePageBytes ? kHugePageBytes : kCacheLineBytes;
  const size_t rounded_bytes = (size_bytes + alignment - 1) / alignment * alignment;
  data_ = static_cast<uint32_t*>(std::aligned_alloc(alignment, rounded_bytes));
  BAUTA_ASSERT(data_ != nullptr);
  if (alignment == kHugePageBytes) (void)madvise(data_, rounded_bytes, MADV_HUGEPAGE);
}

WordStorage::~WordStorage() {
  std::free(data_);
}

}  // namespace bauta::ring
