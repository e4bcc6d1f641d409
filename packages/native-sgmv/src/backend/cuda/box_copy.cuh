#pragma once

#include <cuda.h>

#include "backend/cuda/sgmv_ptx.cuh"

// The copy engine of sm_90, which brings boxes of a matrix to shared memory, and the barriers that
// tell when they are there and when they have been used.

namespace sgmv {

__device__ inline void init_barrier(uint32_t barrier, int arrivals) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
#endif
}

__device__ inline void arrive_at(uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(barrier) : "memory");
#endif
}

// Whether the phase of this parity is over, which it may be by the time of the answer.
__device__ inline bool has_completed(uint32_t barrier, uint32_t parity) {
  uint32_t done = 0;
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "mbarrier.test_wait.parity.shared.b64 done, [%1], %2;\n"
      "selp.u32 %0, 1, 0, done;\n"
      "}\n"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
#endif
  return done != 0;
}

// The following are called by a whole warp with the same arguments, so that these are in uniform
// registers, and done by its first thread.

// Announces the bytes of a phase.
__device__ inline void expect_from_warp(uint32_t barrier, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred first;\n"
      "setp.eq.u32 first, %2, 0;\n"
      "@first mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;\n"
      "}\n" ::"r"(barrier),
      "r"(bytes), "r"(threadIdx.x % 32)
      : "memory");
#endif
}

// Where a box begins.
struct BoxPlace {
  int col;
  int row;
  int chunk;
};

// Copies a box of `map` to shared memory; its bytes count at `barrier`.
__device__ inline void copy_box(uint32_t to, const CUtensorMap& map, const BoxPlace& place,
                                uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred first;\n"
      "setp.eq.u32 first, %6, 0;\n"
      "@first cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3, %4}], [%5];\n"
      "}\n" ::"r"(to),
      "l"(&map), "r"(place.col), "r"(place.row), "r"(place.chunk), "r"(barrier),
      "r"(threadIdx.x % 32)
      : "memory");
#endif
}

}  // namespace sgmv
