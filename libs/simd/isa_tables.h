// The kernel tables of the instruction sets, for the dispatcher in kernels.cpp alone. The latter
// two exist where the build defines BAUTA_SIMD_AVX2 and BAUTA_SIMD_AVX512, and may be called only
// on a processor that has the instructions.
#pragma once

#include "simd/kernel_table.h"

namespace bauta::simd {

const Kernels& scalar_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();

}  // namespace bauta::simd
