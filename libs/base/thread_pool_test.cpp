#include "base/thread_pool.h"

#include <atomic>
#include <vector>

#include <gtest/gtest.h>

namespace bauta {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (size_t threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    for (size_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> visits(count);
      pool.parallel_for(count, [&](size_t begin, size_t end) {
        for (size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& visit : visits) EXPECT_EQ(visit, 1);
    }
  }
}

TEST(ThreadPool, NestedLoopsRunInline) {
  ThreadPool pool(3);
  std::atomic<size_t> sum = 0;
  pool.parallel_for(6, [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i)
      pool.parallel_for(
          10, [&](size_t inner_begin, size_t inner_end) { sum += inner_end - inner_begin; });
  });
  EXPECT_EQ(sum, 60u);
}

TEST(ThreadPool, ConcurrentCallersDoAllTheirWork) {
  ThreadPool pool(2);
  std::atomic<size_t> sum = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 100; ++round)
        pool.parallel_for(16, [&](size_t begin, size_t end) { sum += end - begin; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4u * 100 * 16);
}

TEST(ThreadPool, ShortWorkDoesNotWaitForLongWork) {
  ThreadPool pool(2);
  std::atomic<bool> started = false, released = false;
  std::thread busy([&] {
    pool.parallel_for(2, [&](size_t, size_t) {
      started = true;
      while (!released) std::this_thread::yield();
    });
  });
  while (!started) std::this_thread::yield();
  size_t sum = 0;  // on this thread alone, so it needs no protection
  pool.parallel_for(16, [&](size_t begin, size_t end) { sum += end - begin; });
  EXPECT_EQ(sum, 16u);
  released = true;
  busy.join();
}

TEST(AvailableProcessors, IsAtLeastOne) {
  EXPECT_GE(available_processors(), 1u);
}

}  // namespace
}  // namespace bauta
