#include "ring/word_storage.h"

#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace bauta::ring {
namespace {

TEST(WordStorage, IsAlignedAndWritable) {
  for (size_t count : {1u, 16u, 4096u, 40000u, 524288u, 700000u}) {
    WordStorage words(count);
    EXPECT_EQ(words.size(), count);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(words.data()) % 64, 0u);
    for (size_t i = 0; i < count; ++i) words.data()[i] = static_cast<uint32_t>(i);
    EXPECT_EQ(words.data()[count - 1], count - 1);
  }
  EXPECT_EQ(WordStorage(0).data(), nullptr);
}

TEST(WordStorage, MovesLeaveNothingBehind) {
  WordStorage first(4096);
  uint32_t* address = first.data();
  WordStorage second = std::move(first);
  EXPECT_EQ(second.data(), address);
  EXPECT_EQ(first.data(), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(first.size(), 0u);
}

TEST(WordStorage, ReleasedMemoryIsTakenAgainButNeverTwice) {
  constexpr size_t kCount = 300000;
  const uint32_t* released = WordStorage(kCount).data();
  std::vector<WordStorage> live;
  std::set<const uint32_t*> addresses;
  for (int i = 0; i < 8; ++i) {
    live.emplace_back(kCount);
    addresses.insert(live.back().data());
  }
  EXPECT_EQ(addresses.size(), live.size());
  EXPECT_TRUE(addresses.contains(released));
}

TEST(WordStorage, ThreadsMayShareTheReleased) {
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int round = 0; round < 200; ++round) {
        WordStorage words(20000);
        for (size_t i = 0; i < words.size(); i += 1000) words.data()[i] = t;
        for (size_t i = 0; i < words.size(); i += 1000) ASSERT_EQ(words.data()[i], t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace bauta::ring
