#pragma once

#include <algorithm>

#include "backend/cuda/box_copy.cuh"
#include "backend/cuda/skinny_product.h"

// How the weights and x of a skinny product come to shared memory.

namespace sgmv {

constexpr int kTileOutputs = 16;  // the M of an mma: weights are its left operand
constexpr int kChunkInputs = 64;  // rows of 128 bytes, as the copy engine swizzles them
constexpr int kRowBytes = kChunkInputs * 2;
constexpr int kTileBytes = kTileOutputs * kRowBytes;
constexpr int kMaxConsumers = 12;  // warps of a block that multiply
constexpr int kMaxStages = 16;
// The more weights are under way, the closer memory comes to its rate; an SM has 227 KiB, and this
// leaves room for a block of SGMV beside the product's.
constexpr int kRingBytes = 144 << 10;
constexpr int kMinStages = 4;
constexpr int kMinDeepStages = 3;  // of several chunks
constexpr int kLeastRingBytes =
    kMinStages * (kMaxConsumers * kTileBytes + kMaxSkinnyRows * kRowBytes);
constexpr int kBarrierBytes = 2 * kMaxStages * 8;
constexpr int kAlignment = 1024;  // of a stage: where the swizzle begins anew

struct SkinnyLaunch {
  CUtensorMap w;
  CUtensorMap x;
  const float* bias;
  float* y;
  int y_stride;
  int num_rows;
  int num_outputs;
  float scale;
  int num_steps;  // stages of all inputs
  int depth;      // chunks of a stage
  int step_cols;  // how coordinates of the maps go on from stage to stage
  int step_chunks;
  int num_tiles;  // of the outputs, over all blocks
  int max_tiles;  // that a block does at a time
  int num_passes;
  int num_stages;
};

// Where the 16 bytes `octet` of a row lie in a swizzled box.
__device__ inline uint32_t swizzled(int row, int octet) {
  return row * kRowBytes + ((octet ^ (row % 8)) * 16);
}

// The stages of the ring, each the weights' tiles and then x, for all passes over the inputs.
struct Ring {
  uint32_t stages;
  uint32_t full;   // barriers, one a stage: the bytes are there
  uint32_t empty;  // they have been used
  int stage_bytes;
  int num_stages;
  int slot = 0;
  uint32_t parity = 0;

  __device__ uint32_t tiles() const { return stages + slot * stage_bytes; }
  // Whether the stage is known to be full, and the wait for it if not.
  __device__ bool is_full() const { return has_completed(full + slot * 8, parity); }
  __device__ void wait_full(bool is_known) const {
#if __CUDA_ARCH__ >= 900
    if (!is_known) wait_for_barrier(full + slot * 8, parity);
#endif
  }
  // Gives a stage back, for this warp.
  __device__ static void release(uint32_t barrier, int lane) {
    __syncwarp();
    if (lane == 0) arrive_at(barrier);
  }
  __device__ void advance() {
    if (++slot == num_stages) {
      slot = 0;
      parity ^= 1;
    }
  }
};

struct TileRange {
  int first;
  int count;
};

// The tiles of this block, and of these those of a pass.
__device__ inline TileRange tiles_of(const SkinnyLaunch& p, int pass) {
  const int begin = static_cast<int>(int64_t{blockIdx.x} * p.num_tiles / gridDim.x);
  const int end = static_cast<int>((int64_t{blockIdx.x} + 1) * p.num_tiles / gridDim.x);
  const int first = begin + pass * p.max_tiles;
  return {first, max(0, min(p.max_tiles, end - first))};
}

// All tiles that any block may have are copied, since one large copy takes the engine no longer
// than a small one.
__device__ inline void copy_weights(const SkinnyLaunch& p, const Ring& ring, const TileRange& tiles,
                                    int step) {
  const uint32_t full = ring.full + ring.slot * 8;
  expect_from_warp(full, ring.stage_bytes);
  copy_box(ring.tiles(), p.w,
           {step * p.step_cols, tiles.first * kTileOutputs, step * p.step_chunks}, full);
}

__device__ inline void copy_x(const SkinnyLaunch& p, const Ring& ring, int step) {
  copy_box(ring.tiles() + p.depth * p.max_tiles * kTileBytes, p.x,
           {step * p.step_cols, 0, step * p.step_chunks}, ring.full + ring.slot * 8);
}

// One warp keeps the ring full. The first weights are on their way before x is there.
template <bool kNextReadsX>
__device__ inline void produce(const SkinnyLaunch& p, Ring ring) {
  const int count = p.num_passes * p.num_steps;
  const int ahead = min(count, p.num_stages);
  Ring first = ring;
  for (int i = 0; i < ahead; ++i, first.advance()) {
    copy_weights(p, first, tiles_of(p, i / p.num_steps), i % p.num_steps);
  }
  wait_for_previous_kernels();
  if (kNextReadsX) {
    __threadfence();  // The next kernel reads x without waiting for it.
    allow_next_kernel();
  }
  for (int i = 0; i < ahead; ++i, ring.advance()) copy_x(p, ring, i % p.num_steps);
  int pass = ahead / p.num_steps;
  int step = ahead % p.num_steps;
  TileRange tiles = tiles_of(p, pass);
  for (int i = ahead; i < count; ++i, ring.advance()) {
#if __CUDA_ARCH__ >= 900
    wait_for_barrier(ring.empty + ring.slot * 8, ring.parity ^ 1);
#endif
    copy_weights(p, ring, tiles, step);
    copy_x(p, ring, step);
    if (++step == p.num_steps) {
      step = 0;
      tiles = tiles_of(p, ++pass);
    }
  }
}

}  // namespace sgmv
