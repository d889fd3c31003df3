// For tests: the memory of a process as another sees it, mapping by mapping.
#pragma once

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/result.h"

namespace bauta {

// What was found of a secret.
struct Findings {
  int in_locked_pages = 0, elsewhere = 0;
  size_t scanned_bytes = 0;
};

// Adds up count_in over every readable mapping of the process.
inline Findings search_memory(pid_t process, const std::function<int(std::string_view)>& count_in) {
  const std::string folder = "/proc/" + std::to_string(process);
  std::ifstream smaps(folder + "/smaps");
  const int memory = open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  BAUTA_ASSERT(smaps && memory >= 0);
  Findings findings;
  std::string line, content;
  uintptr_t begin = 0, end = 0;
  while (std::getline(smaps, line)) {
    uintptr_t from = 0, to = 0;
    char access[5] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, access) == 3) {
      begin = access[0] == 'r' ? from : 0;
      end = access[0] == 'r' ? to : 0;
    }
    if (line.rfind("VmFlags:", 0) != 0 || begin == end) continue;
    content.resize(end - begin);
    const ssize_t count = pread(memory, content.data(), content.size(), static_cast<off_t>(begin));
    if (count <= 0) continue;  // [vvar]
    findings.scanned_bytes += static_cast<size_t>(count);
    (line.find(" lo") != line.npos ? findings.in_locked_pages : findings.elsewhere) +=
        count_in({content.data(), static_cast<size_t>(count)});
  }
  close(memory);
  return findings;
}

}  // namespace bauta
