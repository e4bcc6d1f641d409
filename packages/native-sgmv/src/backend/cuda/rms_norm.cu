#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"

// Bytes: each activation once in and once out, the weights once a row from L2. The time is that of
// one trip to memory and back.

namespace sgmv {
namespace {

constexpr int kOctets = kMaxNormCols / 8 / 1024;  // that a thread holds in registers
constexpr int kHeadWarps = 4;

// The sum over all threads of the block.
__device__ float block_sum(float value) {
  __shared__ float sums[kWarpSize];
  value = warp_sum(value);
  if (threadIdx.x % kWarpSize == 0) sums[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  const int num_warps = blockDim.x / kWarpSize;
  const int lane = threadIdx.x % kWarpSize;
  return warp_sum(lane < num_warps ? sums[lane] : 0);
}

// Grid: (rows). With kAdd, residual[t] += x[t] first, and the norm is of residual.
template <bool kAdd>
__global__ void rms_norm_kernel(f16* y, int y_stride, float* residual, int residual_stride,
                                const float* x, int x_stride, const float* w, int num_cols,
                                float eps) {
  allow_next_kernel();
  const int64_t t = blockIdx.x;
  // The first weights are on their way while the kernel before still runs.
  const int first_col = threadIdx.x * 8;
  Octet first_w{};
  if (first_col < num_cols) first_w = Octet::load(w + first_col);
  wait_for_previous_kernels();
  Octet octets[kOctets];
  float sum = 0;
#pragma unroll
  for (int j = 0; j < kOctets; ++j) {
    const int col = (j * blockDim.x + threadIdx.x) * 8;
    if (col >= num_cols) break;
    octets[j] = Octet::load(x + t * x_stride + col);
    if (kAdd) {
      float* sums = residual + t * residual_stride + col;
      const Octet others = Octet::load(sums);
#pragma unroll
      for (int i = 0; i < 8; ++i) octets[j].at[i] += others.at[i];
      octets[j].store(sums);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += octets[j].at[i] * octets[j].at[i];
  }
  const float inverse = rsqrtf(block_sum(sum) / num_cols + eps);
#pragma unroll
  for (int j = 0; j < kOctets; ++j) {
    const int col = (j * blockDim.x + threadIdx.x) * 8;
    if (col >= num_cols) break;
    const Octet weights = j == 0 ? first_w : Octet::load(w + col);
#pragma unroll
    for (int i = 0; i < 8; ++i) octets[j].at[i] = weights.at[i] * (octets[j].at[i] * inverse);
    octets[j].store(y + t * y_stride + col);
  }
}

// Grid: (rows, heads / kHeadWarps). A warp norms one head, two values a lane at a time.
__global__ void head_rms_norm_kernel(float* x, int stride, const float* w, int num_heads,
                                     int head_dim, float eps) {
  begin_kernel();
  const int head = blockIdx.y * kHeadWarps + threadIdx.x / kWarpSize;
  if (head >= num_heads) return;
  const int lane = threadIdx.x % kWarpSize;
  float* values = x + static_cast<int64_t>(blockIdx.x) * stride + head * head_dim;
  float sum = 0;
  for (int i = lane * 2; i < head_dim; i += kWarpSize * 2) {
    const float2 pair = *reinterpret_cast<const float2*>(values + i);
    sum += pair.x * pair.x + pair.y * pair.y;
  }
  const float inverse = rsqrtf(warp_sum(sum) / head_dim + eps);
  for (int i = lane * 2; i < head_dim; i += kWarpSize * 2) {
    auto* at = reinterpret_cast<float2*>(values + i);
    const float2 pair = *at;
    *at = make_float2(w[i] * (pair.x * inverse), w[i + 1] * (pair.y * inverse));
  }
}

int num_threads(int num_cols) {
  const int num_octets = num_cols / 8;
  const int threads = (num_octets + 1) / 2;  // two octets a thread, while they suffice
  const int least = (num_octets + kOctets - 1) / kOctets;
  const int wanted = threads > 1024 ? least : threads;
  return (wanted + kWarpSize - 1) / kWarpSize * kWarpSize;
}

}  // namespace

void CudaBackend::rms_norm(Matrix y, Matrix x, const Weights& w, float eps) {
  launch(rms_norm_kernel<false>, dim3(step_rows(y)), num_threads(x.num_cols), 0, stream_,
         data<f16>(y), y.stride, nullptr, 0, data<float>(x), x.stride, vector_of(w), x.num_cols,
         eps);
}

void CudaBackend::add_rms_norm(Matrix y, Matrix residual, Matrix x, const Weights& w, float eps) {
  launch(rms_norm_kernel<true>, dim3(step_rows(y)), num_threads(x.num_cols), 0, stream_,
         data<f16>(y), y.stride, data<float>(residual), residual.stride, data<float>(x), x.stride,
         vector_of(w), x.num_cols, eps);
}

void CudaBackend::head_rms_norm(Matrix x, const Weights& w, float eps) {
  const int num_heads = x.num_cols / shape_.head_dim;
  const dim3 grid(step_rows(x), (num_heads + kHeadWarps - 1) / kHeadWarps);
  launch(head_rms_norm_kernel, grid, kHeadWarps * kWarpSize, 0, stream_, data<float>(x), x.stride,
         vector_of(w), num_heads, shape_.head_dim, eps);
}

}  // namespace sgmv
