#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"

namespace sgmv {
namespace {

constexpr int kThreads = 128;

// Grid: (rows, octets of a row / kThreads). y[t, :] = silu(gate_up[t, :n]) * gate_up[t, n:].
__global__ void silu_mul_kernel(bf16* y, int y_stride, const bf16* gate_up, int stride,
                                int num_cols) {
  begin_kernel();
  const int64_t t = blockIdx.x;
  const int col = (blockIdx.y * kThreads + threadIdx.x) * 8;
  if (col >= num_cols) return;
  const bf16* gate_t = gate_up + t * stride + col;
  float gate[8], up[8];
  Octet::load(gate_t).unpack(gate);
  Octet::load(gate_t + num_cols).unpack(up);
#pragma unroll
  for (int i = 0; i < 8; ++i) gate[i] = gate[i] / (1 + __expf(-gate[i])) * up[i];
  Octet::pack(gate).store(y + t * y_stride + col);
}

}  // namespace

void CudaBackend::silu_mul(Matrix y, Matrix gate_up) {
  const dim3 grid(step_rows(y), (y.num_cols / 8 + kThreads - 1) / kThreads);
  launch(silu_mul_kernel, grid, kThreads, 0, stream_, data<bf16>(y), y.stride, data<bf16>(gate_up),
         gate_up.stride, y.num_cols);
}

}  // namespace sgmv
