#pragma once

#include "simd/kernel_table.h"

namespace bauta::simd {

void ntt_forward_avx512(uint32_t* values, const NttConstants& ntt);
void ntt_inverse_avx512(uint32_t* values, const NttConstants& ntt);

}  // namespace bauta::simd
