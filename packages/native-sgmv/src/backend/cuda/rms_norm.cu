#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/delta.cuh"

// Bytes: each activation once in and once out, the weights once a row from L2. The time is that of
// one trip to memory and back.

namespace sgmv {
namespace {

// Octets of a row that a thread holds, of as many threads as that needs: two of up to 512 threads,
// which leaves registers for their weights too, or four of up to 1024.
constexpr int kFewOctets = 2;
constexpr int kManyOctets = 4;
constexpr int kMaxFewCols = kFewOctets * 8 * 512;
static_assert(kManyOctets * 8 * 1024 >= kMaxNormCols);
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

// Calls f(j, col) for the columns of each of this thread's octets.
template <int kOctets, typename F>
__device__ void for_octets(int num_cols, F f) {
#pragma unroll
  for (int j = 0; j < kOctets; ++j) {
    const int col = (j * blockDim.x + threadIdx.x) * 8;
    if (col >= num_cols) break;
    f(j, col);
  }
}

// Grid: (rows). With kAdd, residual[t] += x[t] first, and the norm is of residual. Weights come
// from memory, so they are on their way while the kernel before still runs, and the residual beside
// x: of as many octets as there are registers for.
template <bool kAdd, int kOctets>
__global__ void __launch_bounds__(kOctets == kFewOctets ? 512 : 1024)
    rms_norm_kernel(f16* y, int y_stride, float* residual, int residual_stride, const float* x,
                    int x_stride, Delta delta, const float* w, int num_cols, float eps) {
  allow_next_kernel();
  const int64_t t = blockIdx.x;
  y += t * y_stride;
  residual += t * residual_stride;
  x += t * x_stride;
  constexpr int kEarlyOctets = kOctets == kFewOctets ? kOctets : 1;
  Octet early_w[kEarlyOctets];
  for_octets<kEarlyOctets>(num_cols, [&](int j, int col) { early_w[j] = Octet::load(w + col); });
  const float* delta_t = row_of(delta, t);
  wait_for_previous_kernels();
  Octet octets[kOctets];
  Octet others[kFewOctets];
  for_octets<kOctets>(num_cols, [&](int j, int col) {
    octets[j] = Octet::load(x + col);
    if (kAdd && kOctets == kFewOctets) others[j] = Octet::load(residual + col);
  });
  if (delta_t != nullptr) {
    for_octets<kOctets>(num_cols,
                        [&](int j, int col) { octets[j].add(Octet::load(delta_t + col)); });
  }
  float sum = 0;
  for_octets<kOctets>(num_cols, [&](int j, int col) {
    if (kAdd) {
      octets[j].add(kOctets == kFewOctets ? others[j] : Octet::load(residual + col));
      octets[j].store(residual + col);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) sum += octets[j].at[i] * octets[j].at[i];
  });
  const float inverse = rsqrtf(block_sum(sum) / num_cols + eps);
  for_octets<kOctets>(num_cols, [&](int j, int col) {
    const Octet weights = j < kEarlyOctets ? early_w[j] : Octet::load(w + col);
#pragma unroll
    for (int i = 0; i < 8; ++i) octets[j].at[i] = weights.at[i] * (octets[j].at[i] * inverse);
    octets[j].store(y + col);
  });
}

// Grid: (rows, heads / kHeadWarps). A warp norms one head, two values a lane at a time.
__global__ void head_rms_norm_kernel(float* x, int stride, Delta delta, const float* w,
                                     int num_heads, int head_dim, float eps) {
  allow_next_kernel();
  const int head = blockIdx.y * kHeadWarps + threadIdx.x / kWarpSize;
  const float* delta_t = row_of(delta, blockIdx.x, head * head_dim);
  wait_for_previous_kernels();
  if (head >= num_heads) return;
  const int lane = threadIdx.x % kWarpSize;
  float* values = x + static_cast<int64_t>(blockIdx.x) * stride + head * head_dim;
  float2 pairs[kMaxHeadDim / kWarpSize / 2];
  const auto for_pairs = [&](auto f) {
#pragma unroll
    for (int j = 0; j < kMaxHeadDim / kWarpSize / 2; ++j) {
      const int i = (j * kWarpSize + lane) * 2;
      if (i >= head_dim) break;
      f(pairs[j], i);
    }
  };
  for_pairs([&](float2& pair, int i) { pair = *reinterpret_cast<const float2*>(values + i); });
  if (delta_t != nullptr) for_pairs([&](float2& pair, int i) { add_pair(pair, delta_t + i); });
  float sum = 0;
  for_pairs([&](float2& pair, int) { sum += pair.x * pair.x + pair.y * pair.y; });
  const float inverse = rsqrtf(warp_sum(sum) / head_dim + eps);
  for_pairs([&](float2& pair, int i) {
    *reinterpret_cast<float2*>(values + i) =
        make_float2(w[i] * (pair.x * inverse), w[i + 1] * (pair.y * inverse));
  });
}

int num_threads(int num_cols) {
  const int num_octets = num_cols / 8;
  const int threads = (num_octets + kFewOctets - 1) / kFewOctets;  // while they suffice
  const int least = (num_octets + kManyOctets - 1) / kManyOctets;
  const int wanted = threads > 1024 ? least : threads;
  return (wanted + kWarpSize - 1) / kWarpSize * kWarpSize;
}

template <bool kAdd>
auto kernel_for(int num_cols) {
  return num_cols <= kMaxFewCols ? rms_norm_kernel<kAdd, kFewOctets>
                                 : rms_norm_kernel<kAdd, kManyOctets>;
}

}  // namespace

void CudaBackend::rms_norm(Matrix y, Matrix x, const Weights& w, float eps) {
  launch(kernel_for<false>(x.num_cols), dim3(step_rows(y)), num_threads(x.num_cols), 0, stream_,
         data<f16>(y), y.stride, nullptr, 0, data<float>(x), x.stride, take_delta(data<float>(x)),
         vector_of(w), x.num_cols, eps);
}

void CudaBackend::add_rms_norm(Matrix y, Matrix residual, Matrix x, const Weights& w, float eps) {
  launch(kernel_for<true>(x.num_cols), dim3(step_rows(y)), num_threads(x.num_cols), 0, stream_,
         data<f16>(y), y.stride, data<float>(residual), residual.stride, data<float>(x), x.stride,
         take_delta(data<float>(x)), vector_of(w), x.num_cols, eps);
}

void CudaBackend::head_rms_norm(Matrix x, const Weights& w, float eps) {
  const int num_heads = x.num_cols / shape_.head_dim;
  const dim3 grid(step_rows(x), (num_heads + kHeadWarps - 1) / kHeadWarps);
  launch(head_rms_norm_kernel, grid, kHeadWarps * kWarpSize, 0, stream_, data<float>(x), x.stride,
         take_delta(data<float>(x)), vector_of(w), num_heads, shape_.head_dim, eps);
}

}  // namespace sgmv
