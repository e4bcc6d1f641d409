#pragma once

#include <cstdint>

#include "backend/cuda/launch.cuh"

// Sums and maxima of whole numbers over a thread block of kReduceThreads threads. All threads call,
// all get the result.

namespace sgmv {

constexpr int kReduceThreads = 1024;
constexpr int kReduceWarps = kReduceThreads / kWarpSize;
static_assert(kReduceWarps == kWarpSize, "one warp reduces what the warps found");

template <typename Combine>
__device__ uint64_t block_reduce(uint64_t value, Combine combine) {
  __shared__ unsigned long long parts[kReduceWarps];
  const int lane = threadIdx.x % kWarpSize;
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  __syncthreads();  // The parts of the call before have been read.
  if (lane == 0) parts[threadIdx.x / kWarpSize] = value;
  __syncthreads();
  value = parts[lane];
  for (int step = kWarpSize / 2; step > 0; step /= 2) {
    value = combine(value, __shfl_xor_sync(kAllLanes, value, step));
  }
  return value;
}

__device__ inline uint64_t block_sum(uint64_t value) {
  return block_reduce(value, [](uint64_t a, uint64_t b) { return a + b; });
}

__device__ inline uint64_t block_max(uint64_t value) {
  return block_reduce(value, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
}

__device__ inline uint64_t warp_scan(uint64_t value) {
  const int lane = threadIdx.x % kWarpSize;
  for (int step = 1; step < kWarpSize; step *= 2) {
    const uint64_t before = __shfl_up_sync(kAllLanes, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// The sum over the threads up to this one.
__device__ inline uint64_t block_scan(uint64_t value) {
  __shared__ unsigned long long sums[kReduceWarps];
  const int lane = threadIdx.x % kWarpSize;
  const int warp = threadIdx.x / kWarpSize;
  value = warp_scan(value);
  __syncthreads();  // The sums of the call before have been read.
  if (lane == kWarpSize - 1) sums[warp] = value;
  __syncthreads();
  const uint64_t scanned = warp_scan(sums[lane]);
  return value + (warp == 0 ? 0 : __shfl_sync(kAllLanes, scanned, warp - 1));
}

// The value of the last thread.
__device__ inline uint64_t block_last(uint64_t value) {
  __shared__ unsigned long long last;
  __syncthreads();
  if (threadIdx.x == kReduceThreads - 1) last = value;
  __syncthreads();
  return last;
}

}  // namespace sgmv
