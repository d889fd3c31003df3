// memory_probe PID IMAGE...: whether the process's memory holds an embedding of one of the images,
// or a part of one, of any length and at any scale. Ends with 0 when it holds none, 1 when it does,
// 77 when its memory cannot be read. First searches its own memory, where it must find one.

#include <cmath>
#include <cstdio>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "face/engine.h"
#include "face/pipeline.h"

namespace {

using namespace bauta;

constexpr size_t kPart = 8;  // values that must be proportional
constexpr float kTolerance = 1e-4f;

std::vector<face::Embedding> extract(int count, char** paths) {
  const auto engine = face::make_engine("patchnet").value();
  const auto detector = face::make_detector("haar5").value();
  std::vector<face::Embedding> embeddings;
  for (int i = 0; i < count; ++i) {
    const face::FaceOutcome outcome =
        face::find_face(read_file(paths[i], size_t{8} << 20).value(), *detector).value();
    embeddings.push_back(engine->extract(outcome.face()->aligned).value());
  }
  return embeddings;
}

bool holds_part(const float* memory, const float* part) {
  const float scale = memory[0] / part[0];
  if (!std::isfinite(scale) || std::abs(scale) < 1e-3f || std::abs(scale) > 1e6f) return false;
  for (size_t i = 1; i < kPart; ++i)
    if (!(std::abs(memory[i] - scale * part[i]) <= kTolerance * std::abs(scale))) return false;
  return true;
}

size_t count_parts(const std::vector<float>& memory, size_t size,
                   const std::vector<face::Embedding>& embeddings) {
  size_t found = 0;
  for (size_t at = 0; at + kPart <= size; ++at) {
    if (memory[at] == 0) continue;
    for (const face::Embedding& embedding : embeddings)
      for (size_t part = 0; part + kPart <= embedding.size(); part += kPart)
        found += holds_part(&memory[at], &embedding[part]) ? 1 : 0;
  }
  return found;
}

// The number of parts in all memory that the process can write; -1 when it cannot be read.
long search(const std::string& pid, const std::vector<face::Embedding>& embeddings) {
  std::ifstream maps("/proc/" + pid + "/maps");
  const int memory = open(("/proc/" + pid + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (!maps || memory < 0) return -1;
  long found = 0, read_bytes = 0;
  std::string line;
  std::vector<float> buffer((size_t{1} << 20) / sizeof(float));
  while (std::getline(maps, line)) {
    unsigned long long begin = 0, end = 0;
    char mode[5] = {};
    if (std::sscanf(line.c_str(), "%llx-%llx %4s", &begin, &end, mode) != 3 || mode[1] != 'w')
      continue;
    for (unsigned long long at = begin; at < end;) {
      const ssize_t count =
          pread(memory, buffer.data(), buffer.size() * sizeof(float), static_cast<off_t>(at));
      if (count <= 0) break;
      read_bytes += count;
      found += static_cast<long>(
          count_parts(buffer, static_cast<size_t>(count) / sizeof(float), embeddings));
      at += static_cast<unsigned long long>(count);
    }
  }
  close(memory);
  return read_bytes > 0 ? found : -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::vector<face::Embedding> embeddings = extract(argc - 2, argv + 2);
  const long own = search("self", embeddings);
  if (own < static_cast<long>(embeddings.size())) {
    std::printf("the search finds nothing even where there is something\n");
    return 2;
  }
  const long found = search(argv[1], embeddings);
  if (found < 0) {
    std::printf("the memory of process %s cannot be read; run this test as root\n", argv[1]);
    return 77;
  }
  std::printf("%ld parts of embeddings in the process's memory (%ld in this one)\n", found, own);
  return found == 0 ? 0 : 1;
}
