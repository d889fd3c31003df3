// Memory for residues that are not secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

namespace bauta::ring {

// Of released memory that is kept.
inline constexpr size_t kMaxKeptBytes = size_t{256} << 20;

// A fixed number of uninitialised words, 64-byte aligned; 2 MiB and more stand on huge pages where
// the system gives them. Released memory is kept for the next of its size, up to kMaxKeptBytes in
// the process. Movable, not copyable. Thread-safe. Stops the process when memory runs out.
class WordStorage {
 public:
  WordStorage() = default;
  explicit WordStorage(size_t count);
  WordStorage(WordStorage&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  WordStorage& operator=(WordStorage&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~WordStorage();

  uint32_t* data() { return data_; }
  const uint32_t* data() const { return data_; }
  size_t size() const { return count_; }

 private:
  uint32_t* data_ = nullptr;
  size_t count_ = 0;
};

}  // namespace bauta::ring
