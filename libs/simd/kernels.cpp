#include "simd/kernels.h"

#include <cstdlib>
#include <string_view>

#include "simd/isa_tables.h"

namespace bauta::simd {

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "unknown";
}

const Kernels* kernels_for(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return &scalar_kernels();
    case Isa::avx2:
#if defined(BAUTA_SIMD_AVX2)
      if (__builtin_cpu_supports("avx2")) return &avx2_kernels();
#endif
      return nullptr;
    case Isa::avx512:
#if defined(BAUTA_SIMD_AVX512)
      if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt"))
        return &avx512_kernels();
#endif
      return nullptr;
  }
  return nullptr;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512})
    if (kernels_for(isa) != nullptr) isas.push_back(isa);
  return isas;
}

Result<const Kernels*> choose_kernels(const char* requested) {
  const std::string_view name = requested == nullptr ? "" : requested;
  if (name.empty()) return kernels_for(available_isas().back());
  for (Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (name != isa_name(isa)) continue;
    if (const Kernels* table = kernels_for(isa)) return table;
    return make_error(ErrorCode::unavailable,
                      "BAUTA_ISA={} asks for instructions that this processor or this build does "
                      "not have; unset it or use '{}'",
                      name, isa_name(available_isas().back()));
  }
  return make_error(
      ErrorCode::invalid_argument,
      "BAUTA_ISA={} names no instruction set; use scalar, avx2 or avx512, or unset it", name);
}

const Kernels& kernels() {
  static const Kernels* const chosen = [] {
    const Result<const Kernels*> choice = choose_kernels(std::getenv("BAUTA_ISA"));
    if (!choice.ok()) {
      fmt::print(stderr, "bauta: {}\n", choice.error().message);
      std::exit(2);
    }
    return choice.value();
  }();
  return *chosen;
}

}  // namespace bauta::simd
