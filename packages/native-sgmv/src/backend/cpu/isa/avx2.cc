#include "backend/cpu/isa/attention.h"
#include "backend/cpu/isa/gemm.h"
#include "backend/cpu/isa/rows.h"

namespace sgmv {

const Kernels& avx2_kernels() {
  static const Kernels kernels{
      .name = "AVX2",
      .gemm_f32 = gemm<F32Weights>,
      .gemm_bf16 = gemm<Bf16Weights>,
      .gemm_bf16_pairs = nullptr,
      .to_bf16_pairs = nullptr,
      .attention = attention,
      .rms_norm = rms_norm,
      .add = add,
      .silu_mul = silu_mul,
      .rotate = rotate,
      .exp = exp_row,
      .summarize = summarize,
  };
  return kernels;
}

}  // namespace sgmv
