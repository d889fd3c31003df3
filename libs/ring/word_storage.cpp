#include "ring/word_storage.h"

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include <sys/mman.h>

#include "base/result.h"

namespace bauta::ring {
namespace {

constexpr size_t kCacheLineBytes = 64;
constexpr size_t kHugePageBytes = size_t{2} << 20;
// Smaller ones the allocator keeps itself.
constexpr size_t kMinKeptBytes = size_t{64} << 10;

// Sizes that different levels of a ring can share; the pages that are too many are never touched.
size_t rounded(size_t size_bytes) {
  if (size_bytes < kMinKeptBytes)
    return (size_bytes + kCacheLineBytes - 1) / kCacheLineBytes * kCacheLineBytes;
  if (size_bytes < kHugePageBytes) return std::bit_ceil(size_bytes);
  return (size_bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

uint32_t* allocate(size_t size_bytes) {
  const bool huge = size_bytes >= kHugePageBytes;
  void* address = std::aligned_alloc(huge ? kHugePageBytes : kCacheLineBytes, size_bytes);
  BAUTA_ASSERT(address != nullptr);
  if (huge) (void)madvise(address, size_bytes, MADV_HUGEPAGE);
  return static_cast<uint32_t*>(address);
}

// Buffers that are free for another polynomial. Without it, the system would clear fresh pages for
// every intermediate of a key switch, which takes longer than the arithmetic.
class FreeBuffers {
 public:
  // nullptr if there is none of this size.
  uint32_t* take(size_t size_bytes) {
    std::lock_guard lock(mutex_);
    const auto found = buffers_.find(size_bytes);
    if (found == buffers_.end() || found->second.empty()) return nullptr;
    uint32_t* buffer = found->second.back();
    found->second.pop_back();
    kept_bytes_ -= size_bytes;
    return buffer;
  }
  // False if enough are kept already.
  bool keep(uint32_t* buffer, size_t size_bytes) {
    std::lock_guard lock(mutex_);
    if (kept_bytes_ + size_bytes > kMaxKeptBytes) return false;
    buffers_[size_bytes].push_back(buffer);
    kept_bytes_ += size_bytes;
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<size_t, std::vector<uint32_t*>> buffers_;
  size_t kept_bytes_ = 0;
};

FreeBuffers& free_buffers() {
  static auto& buffers = *new FreeBuffers;  // outlives every static polynomial
  return buffers;
}

}  // namespace

WordStorage::WordStorage(size_t count) : count_(count) {
  if (count == 0) return;
  const size_t size_bytes = rounded(count * sizeof(uint32_t));
  if (size_bytes >= kMinKeptBytes) data_ = free_buffers().take(size_bytes);
  if (data_ == nullptr) data_ = allocate(size_bytes);
}

WordStorage::~WordStorage() {
  if (data_ == nullptr) return;
  const size_t size_bytes = rounded(count_ * sizeof(uint32_t));
  if (size_bytes < kMinKeptBytes || !free_buffers().keep(data_, size_bytes)) std::free(data_);
}

}  // namespace bauta::ring
