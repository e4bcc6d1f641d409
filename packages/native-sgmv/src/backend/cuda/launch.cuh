#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/sgmv_ptx.cuh"

namespace sgmv {

using bf16 = __nv_bfloat16;

constexpr int kWarpSize = 32;
constexpr unsigned kAllLanes = 0xffffffff;

inline bool can_launch_early() {
  static const bool result = [] {
    int device = 0;
    int major = 0;
    CUDA_CHECK(cudaGetDevice(&device));
    CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    return major >= 9;
  }();
  return result;
}

// Launches a kernel that may start while the one before it still runs (programmatic dependent
// launch, sm_90), which hides the time between kernels. It must call wait_for_previous_kernels()
// before it reads what a kernel writes, and before it writes anything; and every thread block must
// call it, since the kernels after this one rely on that for all kernels before.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, int num_threads, size_t shared_bytes,
            cudaStream_t stream, Arguments... arguments) {
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(num_threads);
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = can_launch_early() ? 1 : 0;
  CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...));
}

// How a kernel of the step begins.
__device__ inline void begin_kernel() {
  allow_next_kernel();
  wait_for_previous_kernels();
}

// Eight bf16, loaded and stored at once.
struct Octet {
  uint4 bits;

  __device__ static Octet load(const bf16* from) { return {*reinterpret_cast<const uint4*>(from)}; }
  __device__ void store(bf16* to) const { *reinterpret_cast<uint4*>(to) = bits; }

  __device__ void unpack(float (&values)[8]) const {
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      values[2 * i] = __uint_as_float(words[i] << 16);
      values[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000);
    }
  }
  __device__ static Octet pack(const float (&values)[8]) {
    return {{to_bf16_pair(values[0], values[1]), to_bf16_pair(values[2], values[3]),
             to_bf16_pair(values[4], values[5]), to_bf16_pair(values[6], values[7])}};
  }
};

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int lane = kWarpSize / 2; lane > 0; lane /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, lane);
  }
  return value;
}

}  // namespace sgmv
