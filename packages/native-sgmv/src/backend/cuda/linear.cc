#include "backend/cuda/cuda_backend.h"

namespace sgmv {

void CudaBackend::linear(Matrix y, Matrix x, const Weights& w) {
  const auto& linear = static_cast<const CudaLinear&>(w);
  const bool starts_next_with_x = product_.run({.num_rows = step_rows(y),
                                                .num_outputs = linear.num_rows,
                                                .num_inputs = linear.num_cols,
                                                .x = x.data,
                                                .x_stride = x.stride,
                                                .w = linear.w.data(),
                                                .bias = linear.bias.data(),
                                                .y = data<float>(y),
                                                .y_stride = y.stride,
                                                .scale = x.scale,
                                                .next_reads_x = upload_.sizes().num_segments > 0});
  sgmv_start_ = starts_next_with_x ? SgmvStart::kWithProduct : SgmvStart::kEarly;
}

}  // namespace sgmv
