#pragma once

#include <cuda_runtime.h>

#include <cstdint>

// The instructions of the SGMV kernel that C++ has no word for, each with what stands in for it on
// GPUs that lack it.

namespace sgmv {

// Thread blocks that share their shared memory. GPUs before sm_90 have no clusters: there a block
// does the work of a cluster by itself.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int kClusterBlocks = 1;
#else
constexpr int kClusterBlocks = 8;
#endif

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// The value of a warp's first thread, which is that of all: so the compiler knows that the warp
// does not diverge over it.
template <typename T>
__device__ inline T uniform(T value) {
  return __shfl_sync(0xffffffff, value, 0);
}

// Has the compiler hold `value` in a register where it would rather work it out at each use: a warp
// has few others to hide that behind.
__device__ inline void keep(uint32_t& value) { asm volatile("" : "+r"(value)); }
__device__ inline void keep(int& value) { asm volatile("" : "+r"(value)); }
template <typename T>
__device__ inline void keep(T*& value) {
  asm volatile("" : "+l"(value));
}

// Lets the next kernel of the stream start as soon as there is room.
__device__ inline void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Waits until the kernels before this one are complete and what they wrote can be read.
__device__ inline void wait_for_previous_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// Barrier of all threads of the cluster, in halves. It orders no memory accesses, since that would
// wait for all that a thread has under way: what the blocks send each other is ordered by the
// byte barriers below, and a thread arrives only once it has used what it read.
__device__ inline void cluster_arrive() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}

__device__ inline void cluster_wait() {
#if __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
#else
  __syncthreads();
#endif
}

__device__ inline int cluster_rank() { return blockIdx.x % kClusterBlocks; }

// The address of this block's shared memory word `address` in block `rank` of the cluster.
__device__ inline uint32_t cluster_address(uint32_t address, int rank) {
#if __CUDA_ARCH__ >= 900
  uint32_t remote;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(rank));
  return remote;
#else
  return address;
#endif
}

// Barriers in shared memory that complete when one thread has announced a number of bytes and
// these have arrived; a phase after another, whose parity alternates.
__device__ inline void init_byte_barrier(uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier) : "memory");
#endif
}

__device__ inline void publish_byte_barriers() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

__device__ inline void expect_bytes(uint32_t barrier, int bytes) {
#if __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
#endif
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
__device__ inline void wait_for_barrier(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}
#endif

// Waits, all threads of the block, for the bytes that the cluster sends to this block.
__device__ inline void wait_for_bytes(uint32_t barrier, uint32_t parity) {
#if __CUDA_ARCH__ >= 900
  wait_for_barrier(barrier, parity);
#else
  __syncthreads();
#endif
}

// Writes to the shared memory of a block of the cluster and counts the bytes at its barrier.
__device__ inline void send(uint32_t to, const float (&v)[4], uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(to),
      "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]), "r"(barrier)
      : "memory");
#else
  asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(to), "f"(v[0]), "f"(v[1]),
               "f"(v[2]), "f"(v[3])
               : "memory");
#endif
}

__device__ inline void send(uint32_t to, uint32_t v, uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(to), "r"(v),
      "r"(barrier)
      : "memory");
#else
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(v) : "memory");
#endif
}

// A warp's asynchronous copies from global to shared memory, completing in the order of their
// start. On sm_90 the copy engine does them, one instruction each, and a barrier in shared memory
// tells when the bytes are there; before, the warp's threads copy 16 bytes each.
// Called by the whole warp; `units` of 16 bytes.
__device__ inline void start_copy(uint32_t to, const uint4* from, int units, uint32_t barrier) {
#if __CUDA_ARCH__ >= 900
  asm volatile(
      "{\n"
      ".reg .pred first;\n"
      "setp.eq.u32 first, %4, 0;\n"
      "@first mbarrier.arrive.expect_tx.shared.b64 _, [%3], %2;\n"
      "@first cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
      "[%3];\n"
      "}\n" ::"r"(to),
      "l"(from), "r"(units * 16), "r"(barrier), "r"(threadIdx.x % 32)
      : "memory");
#else
  for (int i = threadIdx.x % 32; i < units; i += 32) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + i * 16), "l"(from + i)
                 : "memory");
  }
#endif
}

// Ends the turn of a copy, also of one of nothing.
__device__ inline void commit_copy() {
#if __CUDA_ARCH__ < 900
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits for the oldest of kDepth copies. Its barrier has been waited for before with every other
// `parity`.
template <int kDepth>
__device__ inline void wait_copy(uint32_t barrier, uint32_t parity) {
#if __CUDA_ARCH__ >= 900
  wait_for_barrier(barrier, parity);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(kDepth - 1) : "memory");
  __syncwarp();
#endif
}

// 16 bytes of global memory, or zeros; past L1, which may hold what an earlier kernel read there.
__device__ inline uint4 load_if(bool valid, const void* address) {
  uint4 v;
  asm volatile(
      "{\n"
      ".reg .pred valid;\n"
      "setp.ne.u32 valid, %4, 0;\n"
      "mov.u32 %0, 0;\n"
      "mov.u32 %1, 0;\n"
      "mov.u32 %2, 0;\n"
      "mov.u32 %3, 0;\n"
      "@valid ld.global.cg.v4.u32 {%0, %1, %2, %3}, [%5];\n"
      "}\n"
      : "=&r"(v.x), "=&r"(v.y), "=&r"(v.z), "=&r"(v.w)
      : "r"(static_cast<uint32_t>(valid)), "l"(address)
      : "memory");
  return v;
}

__device__ inline uint4 load_shared(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}

// Four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline uint4 load_matrices(uint32_t row_address) {
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(row_address)
               : "memory");
  return v;
}

// Four 8x8 matrices of 16-bit elements, transposed; lane l gives the address of row l % 8 of matrix
// l / 8.
__device__ inline uint4 load_matrices_transposed(uint32_t row_address) {
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(row_address)
               : "memory");
  return v;
}

// y[0..4) += delta. Nothing else may update these outputs meanwhile, so that one addition each
// leaves a repeatable result; where the memory can add, the thread need not wait for y.
__device__ inline void add_to(float* y, float4 delta) {
#if __CUDA_ARCH__ >= 900
  asm volatile("red.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(y), "f"(delta.x), "f"(delta.y),
               "f"(delta.z), "f"(delta.w)
               : "memory");
#else
  auto* at = reinterpret_cast<float4*>(y);
  const float4 sum = *at;
  *at = make_float4(sum.x + delta.x, sum.y + delta.y, sum.z + delta.z, sum.w + delta.w);
#endif
}

__device__ inline void add_to(float* y, float2 delta) {
  auto* at = reinterpret_cast<float2*>(y);
  const float2 sum = *at;
  *at = make_float2(sum.x + delta.x, sum.y + delta.y);
}

// Two f16; what is too large becomes the largest.
__device__ inline uint32_t to_f16_pair(float low, float high) {
  uint32_t pair;
  asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

// The first two of the four.
__device__ inline uint2 load_two_matrices_transposed(uint32_t row_address) {
  uint2 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(v.x), "=r"(v.y)
               : "r"(row_address)
               : "memory");
  return v;
}

// d[16, 8] += a[16, 16] b[16, 8]
__device__ inline void mma(float (&d)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                           uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

}  // namespace sgmv
