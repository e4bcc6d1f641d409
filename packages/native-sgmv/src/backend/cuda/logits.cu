#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"

// Bytes: the sampled rows of x once in and once out, 2 a value; then those of the product with the
// vocabulary, which is nearly all of the time.

namespace sgmv {
namespace {

constexpr int kThreads = 256;

// Grid: (samples). y[i] = x[rows[i]]
__global__ void gather_kernel(f16* y, const f16* x, int x_stride, const int32_t* rows,
                              int num_cols) {
  begin_kernel();
  const f16* from = x + static_cast<int64_t>(rows[blockIdx.x]) * x_stride;
  f16* to = y + static_cast<int64_t>(blockIdx.x) * num_cols;
  for (int i = threadIdx.x * 8; i < num_cols; i += kThreads * 8)
    *reinterpret_cast<uint4*>(to + i) = *reinterpret_cast<const uint4*>(from + i);
}

}  // namespace

void CudaBackend::logits(Matrix x, const Weights& w) {
  const auto& linear = static_cast<const CudaLinear&>(w);
  const int num_samples = graph_rows_ > 0 ? graph_rows_ : static_cast<int>(batch_->samples.size());
  if (num_samples == 0) return;
  auto* sampled = reinterpret_cast<f16*>(sampled_x_.data());
  launch(gather_kernel, dim3(num_samples), kThreads, 0, stream_, sampled, data<f16>(x), x.stride,
         arrays_.sampled_rows, x.num_cols);
  product_.run({.num_rows = num_samples,
                .num_outputs = linear.num_rows,
                .num_inputs = linear.num_cols,
                .x = sampled,
                .x_stride = x.num_cols,
                .w = linear.w.data(),
                .bias = nullptr,
                .y = logits_.data(),
                .y_stride = linear.num_rows,
                .scale = x.scale});
}

}  // namespace sgmv
