#include "backend/cpu/kernels.h"

namespace sgmv {

const Kernels& select_kernels(std::optional<CpuIsa> max_isa) {
#if defined(__x86_64__)
  const CpuIsa max = max_isa.value_or(CpuIsa::kAvx512);
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") &&
                          __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (max >= CpuIsa::kAvx512 && has_avx512) {
    return __builtin_cpu_supports("avx512bf16") ? avx512_bf16_kernels() : avx512_kernels();
  }
  if (max >= CpuIsa::kAvx2 && has_avx2) return avx2_kernels();
#else
  static_cast<void>(max_isa);
#endif
  return portable_kernels();
}

}  // namespace sgmv
