// The choice among the kernel tables, made once at run time.
#pragma once

#include <vector>

#include "base/result.h"
#include "simd/kernel_table.h"

namespace bauta::simd {

// "scalar", "avx2" or "avx512", as in the environment variable BAUTA_ISA.
const char* isa_name(Isa isa);

// The table of an instruction set; nullptr if this build or this processor lacks it. scalar always
// exists.
const Kernels* kernels_for(Isa isa);

// The instruction sets for which kernels_for is not null, scalar first, fastest last.
std::vector<Isa> available_isas();

// The table to use: the fastest available one, or the one named by `requested` (the value of
// BAUTA_ISA; nullptr or empty if it is not set). Error: an unknown name, or one that is not
// available.
Result<const Kernels*> choose_kernels(const char* requested);

// The table of this process, chosen at the first call by the environment variable BAUTA_ISA. A
// value that choose_kernels refuses ends the process with its message and exit status 2.
const Kernels& kernels();

}  // namespace bauta::simd
