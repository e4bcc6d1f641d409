#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/delta.cuh"

// Bytes: 4 for each gate and each up, read, 2 for each product, written; in decode all in L2.
// FLOPs: a dozen for each product. The time is that of one trip to L2 and back.

namespace sgmv {
namespace {

constexpr int kThreads = 128;

// Grid: (rows, octets of a row / kThreads). y[t, :] = y_scale * silu(gate_up[t, :n]) * gate_up[t,
// n:].
__global__ void silu_mul_kernel(f16* y, int y_stride, float y_scale, const float* gate_up,
                                int stride, Delta gate_delta, Delta up_delta, int num_cols) {
  allow_next_kernel();
  const int64_t t = blockIdx.x;
  const int col = (blockIdx.y * kThreads + threadIdx.x) * 8;
  const float* gate_delta_t = row_of(gate_delta, t, col);
  const float* up_delta_t = row_of(up_delta, t, col);
  wait_for_previous_kernels();
  if (col >= num_cols) return;
  const float* gate_t = gate_up + t * stride + col;
  Octet product = Octet::load(gate_t);
  Octet up = Octet::load(gate_t + num_cols);
  // Both loads come before the first addition, which waits for its own.
  Octet more_gate{};
  Octet more_up{};
  if (gate_delta_t != nullptr) more_gate = Octet::load(gate_delta_t);
  if (up_delta_t != nullptr) more_up = Octet::load(up_delta_t);
  if (gate_delta_t != nullptr) product.add(more_gate);
  if (up_delta_t != nullptr) up.add(more_up);
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const float gate = product.at[i];
    product.at[i] = gate / (1 + __expf(-gate)) * up.at[i] * y_scale;
  }
  product.store(y + t * y_stride + col);
}

}  // namespace

void CudaBackend::silu_mul(Matrix y, Matrix gate_up) {
  const dim3 grid(step_rows(y), (y.num_cols / 8 + kThreads - 1) / kThreads);
  const float* gate = data<float>(gate_up);
  launch(silu_mul_kernel, grid, kThreads, 0, stream_, data<f16>(y), y.stride, 1 / y.scale, gate,
         gate_up.stride, take_delta(gate), take_delta(gate + y.num_cols), y.num_cols);
}

}  // namespace sgmv
