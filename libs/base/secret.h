// Memory for secrets: locked against swapping, left out of core dumps and forks, between guard
// pages, wiped before release.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace bauta {

// Overwrites the bytes in a way the compiler may not remove.
void wipe(std::span<uint8_t> bytes);

// Equal or not, in time that depends on the size alone.
bool equal_constant_time(std::span<const uint8_t> a, std::span<const uint8_t> b);

// For a process that holds keys, before it reads the first one: no core dump, and no ptrace or
// reading of /proc/PID/mem by other processes of the same user. Root can still do both.
Status harden_process();

// A fixed number of Elements in pages of their own, at an address divisible by 64, with pages
// before and behind that stop the process when they are touched. Cannot be copied, printed,
// compared or serialised; moving leaves the source empty. Allocation beyond RLIMIT_MEMLOCK is an
// error, never a silent fall-back to pages that can be swapped.
template <typename Element>
class SecretArray {
  static_assert(std::is_trivially_copyable_v<Element>);

 public:
  // Error `unavailable` when the pages cannot be had or locked; it says how to raise the limit.
  static Result<SecretArray> create(size_t count);

  SecretArray() = default;
  SecretArray(SecretArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  SecretArray& operator=(SecretArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  SecretArray(const SecretArray&) = delete;
  SecretArray& operator=(const SecretArray&) = delete;
  ~SecretArray();

  size_t size() const { return count_; }
  Element* data() { return data_; }
  const Element* data() const { return data_; }
  std::span<Element> span() { return {data_, count_}; }
  std::span<const Element> span() const { return {data_, count_}; }

 private:
  Element* data_ = nullptr;
  size_t count_ = 0;
};

namespace internal {
Result<void*> allocate_locked(size_t size_bytes);
void release_locked(void* address, size_t size_bytes);  // wipes first
}  // namespace internal

template <typename Element>
Result<SecretArray<Element>> SecretArray<Element>::create(size_t count) {
  BAUTA_TRY(void* address, internal::allocate_locked(count * sizeof(Element)));
  SecretArray array;
  array.data_ = static_cast<Element*>(address);
  array.count_ = count;
  return array;
}

template <typename Element>
SecretArray<Element>::~SecretArray() {
  if (data_ != nullptr) internal::release_locked(data_, count_ * sizeof(Element));
}

using SecretBytes = SecretArray<uint8_t>;

}  // namespace bauta
