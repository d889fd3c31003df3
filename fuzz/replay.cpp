// Runs a fuzz target without a fuzzer: on fixed pseudo-random inputs of many sizes, and on every
// file of the corpus folder given, if it exists.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <random>
#include <vector>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size_bytes);

int main(int argc, char** argv) {
  constexpr int kInputs = 2000;
  constexpr size_t kMaxBytes = 4096;
  std::mt19937_64 random(1);
  for (int i = 0; i < kInputs; ++i) {
    std::vector<uint8_t> input(random() % kMaxBytes >> random() % 8);
    for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  size_t files = 0;
  const std::filesystem::path corpus = argc > 1 ? argv[1] : "";
  if (std::filesystem::is_directory(corpus)) {
    for (const auto& entry : std::filesystem::directory_iterator(corpus)) {
      const auto input = bauta::read_file(entry.path(), size_t{1} << 20);
      BAUTA_ASSERT(input.ok());
      LLVMFuzzerTestOneInput(input->data(), input->size());
      ++files;
    }
  }
  std::printf("%d pseudo-random inputs and %zu files\n", kInputs, files);
  return 0;
}
