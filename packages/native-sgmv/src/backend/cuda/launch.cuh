#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/sgmv_ptx.cuh"

namespace sgmv {

using f16 = __half;

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

// Has SMs that run `kernel` keep as much of their memory as they can for shared memory. An SM
// divides its memory anew between that and L1 only when nothing runs on it, so two kernels that are
// to be side by side must both have asked for it.
template <typename Kernel>
void prefer_shared_memory(Kernel* kernel) {
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                  cudaSharedmemCarveoutMaxShared));
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

// Eight values of a row: f32 in activations, f16 in operands.
struct Octet {
  float at[8];

  __device__ static Octet load(const float* from) {
    const float4 low = *reinterpret_cast<const float4*>(from);
    const float4 high = *reinterpret_cast<const float4*>(from + 4);
    return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
  }
  __device__ static Octet load(const f16* from) {
    const uint4 bits = *reinterpret_cast<const uint4*>(from);
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
    Octet octet;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float2 pair = __half22float2(reinterpret_cast<const __half2&>(words[i]));
      octet.at[2 * i] = pair.x;
      octet.at[2 * i + 1] = pair.y;
    }
    return octet;
  }
  __device__ void add(const Octet& other) {
#pragma unroll
    for (int i = 0; i < 8; ++i) at[i] += other.at[i];
  }
  __device__ void store(float* to) const {
    *reinterpret_cast<float4*>(to) = make_float4(at[0], at[1], at[2], at[3]);
    *reinterpret_cast<float4*>(to + 4) = make_float4(at[4], at[5], at[6], at[7]);
  }
  __device__ void store(f16* to) const {
    *reinterpret_cast<uint4*>(to) =
        make_uint4(to_f16_pair(at[0], at[1]), to_f16_pair(at[2], at[3]), to_f16_pair(at[4], at[5]),
                   to_f16_pair(at[6], at[7]));
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
