// Loops over limbs, on a thread pool if there is one.
#pragma once

#include "base/thread_pool.h"
#include "ring/ntt.h"
#include "ring/word_storage.h"

namespace bauta::ring {

// body(begin, end) on ranges that cover [0, count); ranges must not depend on each other.
template <typename Body>
void for_limb_ranges(size_t count, ThreadPool* pool, const Body& body) {
  if (pool == nullptr)
    body(size_t{0}, count);
  else
    pool->parallel_for(count, body);
}

// body(i) for every i < count.
template <typename Body>
void for_each_limb(size_t count, ThreadPool* pool, const Body& body) {
  for_limb_ranges(count, pool, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) body(i);
  });
}

// body(i, scratch) for every i < count, with `degree` uninitialised words of scratch.
template <typename Body>
void for_each_limb_with_scratch(size_t count, size_t degree, ThreadPool* pool, const Body& body) {
  for_limb_ranges(count, pool, [&](size_t begin, size_t end) {
    WordStorage scratch(degree);
    for (size_t i = begin; i < end; ++i) body(i, Limb(scratch.data(), degree));
  });
}

}  // namespace bauta::ring
