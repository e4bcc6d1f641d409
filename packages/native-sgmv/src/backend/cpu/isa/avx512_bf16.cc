#include "backend/cpu/isa/gemm.h"
#include "backend/cpu/isa/rows.h"

namespace sgmv {
namespace {

// Two products a lane and instruction. The order in which one adds its two products is fixed.
struct Bf16PairWeights {
  using X = uint32_t;
  static constexpr int kColsPerWord = 2;
  static constexpr int kColsPerX = 2;
  template <int kRows, int kVecs>
  static void accumulate(Vec (&sum)[kRows][kVecs], const X* x, int64_t x_stride,
                         const uint8_t* panels, int64_t panel_stride, int num_cols) {
    for (int word = 0; word < (num_cols + 1) / 2; ++word) {
      __m512bh w[kVecs];
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) {
        w[v] = (__m512bh)load_words(panels + v * panel_stride + int64_t{word} * kPanelRowBytes);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const auto x_r = (__m512bh)_mm512_set1_epi32(static_cast<int>(x[r * x_stride + word]));
#pragma GCC unroll 16
        for (int v = 0; v < kVecs; ++v) sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x_r, w[v]);
      }
    }
  }
};

}  // namespace

const Kernels& avx512_bf16_kernels() {
  static const Kernels kernels = [] {
    Kernels result = avx512_kernels();
    result.gemm_bf16_pairs = gemm<Bf16PairWeights>;
    result.to_bf16_pairs = to_bf16_pairs;
    return result;
  }();
  return kernels;
}

}  // namespace sgmv
